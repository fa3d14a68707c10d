"""Gets the agent into a guest that has its own compiler, or had one in an earlier run.

What was compiled is fetched and kept (`shelf`). Later guests run that, if they may and can, and
compile otherwise.
"""

import logging

from harness import clocks
from harness.agent import binary, shelf
from harness.agent.binary import Program
from harness.agent.installed import ERRORS, InstallPlace, push
from harness.agent.shelf import Home, Shelf
from harness.errors import (
    AgentError,
    CommandTimeoutError,
    GuestLostError,
    InfrastructureError,
    Phase,
)
from harness.machine.places import Places
from harness.model import Guest
from harness.protocols import Transport
from harness.wire.replies import UNSUPPORTED

logger = logging.getLogger(__name__)

COMPILE = "; ".join(
    (
        'cd "$0" || exit 1',
        "CC=cc LIBS=; command -v cc > /dev/null || { command -v gcc > /dev/null && CC=gcc; }",
        "for tool in tar $CC; do command -v $tool > /dev/null || { echo $tool; exit 127; }; done",
        "tar xf - || exit 1",
        "$CC -std=c99 -D_DEFAULT_SOURCE -O2 -c *.c || exit 1",
        'case $(uname -s) in SunOS) LIBS="-lsocket -lnsl" ;; esac',
        "if $CC -static -s -o agent *.o $LIBS 2> /dev/null",
        "then ./agent canary < /dev/null > /dev/null 2>&1",
        f"[ $? -ne {UNSUPPORTED} ] || exit 0",
        "fi",
        "exec $CC -s -o agent *.o $LIBS",
    )
)
"""Every base system's compiler has these options: gcc 7 (NetBSD 9) and 8 (DragonFly 6), clang.
illumos may have it as gcc only, and sockets in libraries of their own.

A static agent also runs in a guest with another libc, so that is what is kept if it works. Systems
without static libraries (macOS, some Linux distributions) link a dynamic one."""

SOURCES = "sources, compiled in the guest"


class GuestCompiled:
    """The agent of one guest: that of an earlier run, or its sources and the guest's compiler."""

    def __init__(self, guest: Guest, sources: bytes, places: Places) -> None:
        self._guest = guest
        self._sources = sources
        self._shelf = Shelf(places)

    def put(self, transport: Transport, place: InstallPlace) -> Program:
        """Put the agent into its place in the guest; return it. Raise `AgentError`."""
        where = shelf.home(
            self._guest, transport.provenance, self._sources, place.uname, place.release
        )
        kept, reason = self._shelf.offer(where, self._guest.agent.compiled_in)
        if kept is not None:
            refusal = _tried(transport, place, kept)
            if refusal is None:
                return kept
            reason = f"the agent {kept.origin} does not run here: {refusal}"
            logger.warning("%s: %s; its own cc compiles", self._guest.name, reason)
        self._compile(transport, place, reason)
        content = _fetched(transport, place)
        if content is None:
            return Program(self._sources, SOURCES)
        self._keep(content, place, where)
        return Program(content, "compiled in the guest")

    def _compile(self, transport: Transport, place: InstallPlace, unkept: str) -> None:
        argv = ["sh", "-c", COMPILE, place.folder]
        try:
            timeout = clocks.COMPILE * clocks.slow_factor(transport.provenance)
            done = transport.run(argv, stdin=self._sources, timeout=timeout)
        except InfrastructureError as exc:
            exc.phase = Phase.BUILD
            raise
        missing = done.stdout.decode(errors="replace").strip()
        if done.status == 127 and missing in ("cc", "tar"):
            raise AgentError(
                Phase.BUILD,
                f"the guest has no `{missing}` to compile the agent with, and no kept agent: "
                f"{unkept}",
                hint="install the system's compiler in the guest (NetBSD: the set `comp`); or run "
                "a guest of this system that has one, once, and name it under `agent`, as "
                "`compiled_in: GUEST`; or give a `target` or a `path` there",
            )
        if done.status != 0:
            said = done.stderr[-ERRORS:].decode(errors="replace").strip()
            raise AgentError(Phase.BUILD, f"the agent cannot be compiled in the guest: {said}")

    def _keep(self, content: bytes, place: InstallPlace, where: Home) -> None:
        made_for = binary.of_program(content)
        if made_for is None or not made_for.fits(place.platform):
            logger.debug("%s: what its cc made is no program for it, so not kept", where.guest)
            return
        try:
            self._shelf.keep(content, where)
        except OSError as exc:
            logger.warning("%s: its agent is not kept: %s", where.guest, exc)


def _tried(transport: Transport, place: InstallPlace, program: Program) -> str | None:
    """Push a kept agent; return why it does not run, or None if it does."""
    timeout = clocks.SETUP * clocks.slow_factor(transport.provenance)
    push(transport, program, place)
    try:
        done = transport.run([place.agent, "canary"], timeout=timeout)
    except CommandTimeoutError:
        return "no answer"
    if done.status == UNSUPPORTED:
        return None
    return done.complaint or f"status {done.status}"


def _fetched(transport: Transport, place: InstallPlace) -> bytes | None:
    """Return the agent that the guest compiled; None if it does not arrive whole."""
    content = bytearray()
    timeout = clocks.SETUP * clocks.slow_factor(transport.provenance)
    try:
        done = transport.run(["cat", place.agent], timeout=timeout, into=content.extend)
    except GuestLostError:
        raise
    except InfrastructureError as exc:
        logger.warning("the agent that the guest compiled is not kept: %s", exc)
        return None
    whole = done.status == 0 and not done.truncated and 0 < len(content) <= shelf.LIMIT
    return bytes(content) if whole else None
