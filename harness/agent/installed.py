"""The agent in a guest: put there, asked whether it is ours, asked questions, taken away."""

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec import Struct

from harness.agent.binary import Platform, Program, of_guest, of_program
from harness.agent.question import Question
from harness.errors import AgentError, GuestLostError, InfrastructureError, Phase
from harness.model import Root
from harness.protocols import Completed, Transport

logger = logging.getLogger(__name__)

PREPARE = "; ".join(
    (
        "umask 077",
        'for base in "$@"',
        'do folder="$base/$0"',
        'mkdir "$folder" || continue',
        'printf "#!/bin/sh\\nexit 0\\n" > "$folder/try" && chmod 700 "$folder/try"',
        '"$folder/try" && rm "$folder/try" && echo "$base" && exec uname -sm',
        'rm -rf "$folder"',
        "done",
        "exit 1",
    )
)
"""Makes the folder where a program may be run, and says where and on what, in one round trip."""

COMPILE = "; ".join(
    (
        'cd "$0" || exit 1',
        "tar xf - || exit 1",
        "exec ${CC:-cc} -std=c99 -D_DEFAULT_SOURCE -O2 -o agent *.c",
    )
)

PREFIXES: dict[str, tuple[str, ...]] = {
    "none": (),
    "sudo": ("sudo", "-n"),
    "doas": ("doas", "-n"),
}

UNSUPPORTED = 77
"""The agent's exit status for what it cannot be asked (docs/wire.md)."""

SETUP_SECONDS = 60.0

COMPILE_SECONDS = 600.0

TAIL = 500


class Agent(Struct, frozen=True):
    """An agent in a guest, ready to be asked."""

    transport: Transport
    path: str
    root: Root
    program: Program

    @property
    def provenance(self) -> Mapping[str, str]:
        """Which agent it is, for the result."""
        return {"agent": self.program.origin, "agent_sha256": self.program.sha256}

    def vouch(self, timeout: float = SETUP_SECONDS) -> None:
        """Ask for a scenario that it cannot know; raise `AgentError` unless it says so.

        What answers anything else is not our agent, and nothing it says is to be believed.
        """
        canary = f"canary-{secrets.token_hex(8)}"
        try:
            done = self._run([canary], b"", timeout)
        except InfrastructureError as exc:
            exc.phase = Phase.VOUCH
            raise
        if done.status != UNSUPPORTED:
            message = f"the agent answered an unknown scenario with status {done.status}"
            raise AgentError(Phase.VOUCH, message + self._complaint(done), hint=self._hint(done))

    def ask(self, questions: Sequence[Question], timeout: float, jobs: int = 1) -> bytes:
        """Return what the agent says to all questions, `jobs` of them asked at once, unjudged.

        An error keeps what was said until then in its `partial`.
        """
        lines = "".join(question.line for question in questions)
        done = self._run(["batch", f"jobs={jobs}"], lines.encode(), timeout)
        if done.truncated:
            message = "the agent said more than is read of it"
            raise AgentError(Phase.SCENARIO, message, partial=done.stdout)
        if done.status != 0:
            message = f"the agent ended with status {done.status}{self._complaint(done)}"
            raise AgentError(Phase.SCENARIO, message, hint=self._hint(done), partial=done.stdout)
        return done.stdout

    def _run(self, arguments: Sequence[str], stdin: bytes, timeout: float) -> Completed:
        argv = [*PREFIXES[self.root], self.path, *arguments]
        return self.transport.run(argv, stdin=stdin, timeout=timeout)

    def _complaint(self, done: Completed) -> str:
        said = done.stderr[-TAIL:].decode(errors="replace").strip()
        return f": {said}" if said else ""

    def _hint(self, done: Completed) -> str | None:
        if self.root != "none" and b"password" in done.stderr.lower():
            return f"{self.root} asks for a password in the guest; allow the user to run without"
        if self.root != "none" and done.status == 127:
            return f"{self.root} is not installed in the guest"
        return None


@contextmanager
def installed(
    transport: Transport, program: Program, root: Root, *, compiled: bool = False
) -> Iterator[Agent]:
    """Yield the agent once it is in the guest; remove it afterwards.

    With `compiled`, what is given is a tar file of sources for the guest's own cc.
    """
    name = f"reuseport-agent-{secrets.token_hex(8)}"
    folder, platform = _prepared(transport, name)
    try:
        path = f"{folder}/agent"
        if compiled:
            _compile(transport, program.content, folder)
        else:
            _check(program.content, platform)
            transport.push(program.content, path, executable=True, timeout=SETUP_SECONDS)
        yield Agent(transport, path, root, program)
    finally:
        _remove(transport, folder)


def _prepared(transport: Transport, name: str) -> tuple[str, Platform]:
    try:
        done = transport.run(["sh", "-c", PREPARE, name, *transport.folders], timeout=SETUP_SECONDS)
    except InfrastructureError as exc:
        exc.phase = Phase.PUSH
        raise
    base, _, uname = done.stdout.decode(errors="replace").partition("\n")
    if done.status != 0 or base not in transport.folders:  # the guest's word makes no path
        said = done.stderr[-TAIL:].decode(errors="replace").strip()
        where = " or ".join(transport.folders)
        raise AgentError(Phase.PUSH, f"no program can be put into {where} of the guest: {said}")
    return f"{base}/{name}", of_guest(uname)


def _check(content: bytes, guest: Platform) -> None:
    """Refuse a program for another system: a foreign kernel's answer to it can be anything."""
    made_for = of_program(content)
    if made_for is not None and not made_for.fits(guest):
        raise AgentError(
            Phase.PUSH,
            f"the agent is for {made_for}, the guest is {guest}",
            hint="`agent` in the guest's file names the target, or the binary",
        )


def _compile(transport: Transport, archive: bytes, folder: str) -> None:
    try:
        argv = ["sh", "-c", COMPILE, folder]
        done = transport.run(argv, stdin=archive, timeout=COMPILE_SECONDS)
    except InfrastructureError as exc:
        exc.phase = Phase.BUILD
        raise
    if done.status != 0:
        said = done.stderr[-4 * TAIL :].decode(errors="replace").strip()
        raise AgentError(Phase.BUILD, f"the agent cannot be compiled in the guest: {said}")


def _remove(transport: Transport, folder: str) -> None:
    try:
        transport.run(["rm", "-rf", folder], timeout=SETUP_SECONDS)
    except GuestLostError:
        logger.debug("the guest is gone, and %s with it", folder)
    except InfrastructureError as exc:
        logger.warning("%s was left in the guest: %s", folder, exc)
