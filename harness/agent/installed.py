"""The agent in a guest: installs it, checks that it is the right one, asks it, removes it."""

import logging
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from msgspec import Struct

from harness import clocks
from harness.agent import binary
from harness.agent.binary import Platform, Program
from harness.agent.user import User, of_guest
from harness.errors import AgentError, GuestLostError, InfrastructureError, MachineLostError, Phase
from harness.model import Root
from harness.protocols import Completed, Sink, Transport
from harness.wire.question import Question
from harness.wire.replies import UNSUPPORTED, visible

logger = logging.getLogger(__name__)

PREPARE = "; ".join(
    (
        "umask 077",
        'for base in "$@"',
        'do folder="$base/$0"',
        'mkdir "$folder" || continue',
        'echo "exit 0" > "$folder/try" && chmod 700 "$folder/try"',
        '"$folder/try" && rm "$folder/try" && echo "$base"',
        "if [ $? -eq 0 ]; then uname -sm; id -u; id -un; uname -r; exit 0; fi",
        'rm -rf "$folder"',
        "done",
        "exit 1",
    )
)
"""Makes a folder in which programs can run; prints it with the platform and the user. One round
trip does all of this.

To test for noexec it runs a script without `#!`: the shell itself reads an executable file that is
not a program (POSIX sh, 2.9.1.1), and no character here is special to a login shell
(`login_command`)."""

ERRORS = 2000
"""The most bytes that are shown, from the end of a compiler's error output."""

UID = re.compile(r"[0-9]{1,10}")

NAME = 64
"""The most characters of a user's name, a platform or a release that are taken from a guest."""


class Agent(Struct, frozen=True):
    """An agent that is installed in a guest and ready for questions."""

    transport: Transport
    path: str
    user: User
    program: Program

    @property
    def provenance(self) -> Mapping[str, str]:
        """The agent's origin and digest, and the user that runs it, for the results."""
        made = {"agent": self.program.origin, "agent_sha256": self.program.sha256}
        return {**made, **self.user.provenance}

    def vouch(self, timeout: float = clocks.SETUP) -> None:
        """Ask for a random, unknown scenario; raise `AgentError` unless the agent rejects it.

        A program that answers anything else is not the agent, so none of its answers can be
        trusted.
        """
        canary = f"canary-{secrets.token_hex(8)}"
        try:
            argv = self.user.command([self.path, canary])
            done = self.transport.run(argv, timeout=timeout * _factor(self.transport))
        except InfrastructureError as exc:
            exc.phase = Phase.VOUCH
            raise
        if done.status != UNSUPPORTED:
            message = f"the agent answered an unknown scenario with status {done.status}"
            hint = "if it is for another machine, correct `agent` in the guest file"
            raise AgentError(Phase.VOUCH, message + _complaint(done), hint=hint)

    def ask(
        self,
        questions: Sequence[Question],
        timeout: float,
        jobs: int = 1,
        *,
        into: Sink,
        silence: float | None = None,
    ) -> None:
        """Ask all questions; `jobs` of those without a load run at once, beside the others
        (docs/wire.md). The agent's output goes to `into`, unjudged, even if this raises.

        An alarm ends each question and produces output, so `silence` must be longer than an alarm.
        """
        lines = "".join(question.line for question in questions).encode()
        argv = self.user.command([self.path, "batch", f"jobs={jobs}"])
        done = self.transport.run(argv, stdin=lines, timeout=timeout, silence=silence, into=into)
        if done.truncated:
            raise AgentError(Phase.SCENARIO, "the agent said more than is read of it")
        if done.status != 0:
            message = f"the agent ended with status {done.status}{_complaint(done)}"
            raise AgentError(Phase.SCENARIO, message)


def _complaint(done: Completed) -> str:
    return f": {done.complaint}" if done.complaint else ""


@contextmanager
def installed(transport: Transport, source: "Program | Source", root: Root) -> Iterator[Agent]:
    """Install the agent in the guest and yield it; remove it afterwards."""
    with placed(transport, "reuseport-agent") as place:
        if isinstance(source, Program):
            push(transport, source, place)
            program = source
        else:
            program = source.put(transport, place)
        user = of_guest(transport, place.user, place.uid, root)
        yield Agent(transport, place.agent, user, program)


class InstallPlace(Struct, frozen=True):
    """A folder in the guest for a program, the guest's platform, and the user that logged in.

    `uname` and `release` are the output of `uname -sm` and `uname -r`.
    """

    folder: str
    platform: Platform
    user: str
    uid: int | None
    uname: str
    release: str

    @property
    def agent(self) -> str:
        """The agent's path."""
        return f"{self.folder}/agent"


class Source(Protocol):
    """An agent that only the live guest can complete (`guest_cc`)."""

    def put(self, transport: Transport, place: InstallPlace) -> Program:
        """Put the agent into its place in the guest, and return it."""


def push(transport: Transport, program: Program, place: InstallPlace) -> None:
    """Put a program into its place in the guest; raise `AgentError` if it is for another system."""
    _check(program, place.platform)
    timeout = clocks.SETUP * _factor(transport)
    transport.push(program.content, place.agent, executable=True, timeout=timeout)


@contextmanager
def placed(transport: Transport, name: str) -> Iterator[InstallPlace]:
    """Yield a new folder in which programs can run; it is removed afterwards with its content."""
    place = _prepared(transport, f"{name}-{secrets.token_hex(8)}")
    try:
        yield place
    finally:
        _remove(transport, place.folder)


def _prepared(transport: Transport, name: str) -> InstallPlace:
    argv = ["sh", "-c", PREPARE, name, *transport.folders]
    try:
        done = transport.run(argv, timeout=clocks.SETUP * _factor(transport))
    except InfrastructureError as exc:
        exc.phase = Phase.PUSH
        raise
    lines = done.stdout.decode(errors="replace").splitlines()
    base, uname, uid, user, release, *_ = [*lines, "", "", "", "", ""]
    if done.status != 0 or base not in transport.folders:  # do not trust a path from the guest
        where = " or ".join(transport.folders)
        raise AgentError(
            Phase.PUSH,
            f"no program can be put into {where} of the guest: "
            f"{done.complaint or f'status {done.status}, and no message'}",
            hint="one of them must exist, be writable, have room, and not be mounted noexec",
        )
    known = int(uid) if UID.fullmatch(uid) else None
    return InstallPlace(
        f"{base}/{name}",
        binary.of_guest(uname),
        visible(user)[:NAME] or uid,
        known,
        visible(uname)[:NAME],
        visible(release)[:NAME],
    )


def _factor(transport: Transport) -> float:
    return clocks.slow_factor(transport.provenance)


def _check(program: Program, guest: Platform) -> None:
    """Reject a program for another system: another kernel may do anything with it."""
    made_for = program.platform
    if made_for is not None and not made_for.fits(guest):
        raise AgentError(
            Phase.PUSH,
            f"the agent is for {made_for}, the guest is {guest}",
            hint="correct the target or the binary under `agent` in the guest file",
        )


def _remove(transport: Transport, folder: str) -> None:
    try:
        transport.run(["rm", "-rf", folder], timeout=clocks.SETUP)
    except (GuestLostError, MachineLostError):
        logger.debug("the guest is gone, and %s with it", folder)
    except InfrastructureError as exc:
        logger.warning("%s was left in the guest: %s", folder, exc)
