"""A gVisor sandbox: starts it, runs commands in it, and ends it.

One sandbox serves all commands: a command then takes 0.05 to 0.1 s (`runsc exec`) instead of 0.2 to
0.4 s, and processes of several commands live together. `runsc do` makes it from this machine's
root, read-only, below a layer in memory. Its first process reads a pipe from here, so the sandbox
ends with us, however we end.
"""

import logging
import os
import select
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from harness.deadline import GLANCE, Deadline
from harness.errors import CommandTimeoutError, GuestLostError, Phase
from harness.leases import Tenancy, Undo
from harness.machine.places import NAME
from harness.machine.process import ToolTimeoutError, execute, last_will
from harness.providers.gvisor.program import Runsc
from harness.text import plain
from harness.transport.shell import TEMPORARY

logger = logging.getLogger(__name__)

UP = b"up\n"

FIRST = ("sh", "-c", "echo up; exec cat")
"""The first process: it says that the sandbox runs, and then waits for the end of its input."""

LEAVE_SECONDS = 3.0
"""For the sandbox to end after its first process, which takes 0.2 s; then it is killed."""

REMOVE_SECONDS = 10.0
"""For removing the few small files that the sandbox leaves if it is killed."""

KILL_SECONDS = 5.0
"""For ending a command inside that did not end in time."""

SAID = 2000
"""Bytes from the end of what `runsc` wrote that are searched for its last line."""


class NotStartedError(Exception):
    """The sandbox did not come up; the message is `runsc`'s own reason."""


class Sandbox(Struct, frozen=True):
    """A sandbox that runs. `root` is where `runsc` keeps its state, `id` its name there."""

    program: Path
    flags: tuple[str, ...]
    process: subprocess.Popen[bytes]
    root: Path
    id: str

    def _runsc(self, *words: str) -> list[str]:
        return [str(self.program), f"--root={self.root}", *self.flags, *words]

    @contextmanager
    def prefix(self) -> Iterator[Sequence[str]]:
        """Yield the prefix that runs one command in the sandbox.

        Killing `runsc exec` does not end its command, so that is killed inside if it took too long.
        Raise `GuestLostError` if the sandbox has ended.
        """
        self._check()
        with tempfile.NamedTemporaryFile(prefix="pid-", dir=self.root.parent) as pid:
            words = ("exec", f"--internal-pid-file={pid.name}", "--env=TMPDIR=/tmp")
            try:
                yield self._runsc(*words, self.id)
            except CommandTimeoutError:
                self._end_command(Path(pid.name).read_text("ascii").strip())
                self._check()
                raise
        self._check()

    def try_out(self, deadline: Deadline) -> None:
        """Run one command; raise `NotStartedError` if this `runsc` cannot, as one too old may."""
        try:
            with self.prefix() as prefix:
                done = execute([*prefix, "sh", "-c", "exit 0"], deadline)
        except ToolTimeoutError as exc:
            raise NotStartedError("no second process runs in it") from exc
        except GuestLostError as exc:
            raise NotStartedError(str(exc)) from exc
        if done.status != 0:
            said = plain(done.stderr).strip().splitlines() or [f"status {done.status}"]
            raise NotStartedError(f"runsc exec: {said[-1].strip()}")

    def _check(self) -> None:
        status = self.process.poll()
        if status is not None:
            raise GuestLostError(Phase.SCENARIO, f"the sandbox ended with status {status}")

    def _end_command(self, pid: str) -> None:
        """Kill a command with its children: each leads a process group of its own."""
        if not pid.isdecimal():
            return
        argv = self._runsc("exec", self.id, "sh", "-c", 'kill -9 -- "-$0"', pid)
        with suppress(ToolTimeoutError):
            execute(argv, Deadline(KILL_SECONDS))


def flags(platform: str) -> tuple[str, ...]:
    """Return the options that every call of `runsc` for a sandbox gets."""
    own = (f"--platform={platform}", "--network=none")
    return own if os.geteuid() == 0 else (*own, "--rootless")


@contextmanager
def started(
    runsc: Runsc, platform: str, tenancy: Tenancy, log: Path, deadline: Deadline
) -> Iterator[Sandbox]:
    """Start a sandbox and yield it; end it with the block. Its messages are appended to `log`.

    Raise `NotStartedError` if it does not come up before the deadline.
    """
    folder, own = _folder(tenancy, platform), flags(platform)
    argv = [*last_will(), str(runsc.path), *own, "do", "--quiet", "--cwd=/", *FIRST]
    begin = log.stat().st_size if log.exists() else 0
    logger.debug("%s", argv)
    with (
        log.open("ab") as complaints,
        subprocess.Popen(
            argv,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env={**os.environ, "TMPDIR": str(folder)},  # `do` keeps its state in there
            start_new_session=True,
        ) as process,
    ):
        try:
            tenancy.runs(process.pid)
            _await(process, deadline, log, begin)
            states = [*folder.glob("runsc-do*/*.state")]
            if len(states) != 1:  # as in the releases from 20221219 to 20240729
                raise NotStartedError("it keeps its state where this program does not look")
            name = states[0].stem.partition("_sandbox:")[0]
            made = Sandbox(runsc.path, own, process, states[0].parent, name)
            made.try_out(deadline)
            yield made
        finally:
            _end(process)


def _folder(tenancy: Tenancy, platform: str) -> Path:
    """Make the folder where `do` keeps its state; the lease removes it in the end.

    The sandbox drops its rights and then opens this path as nobody, so the folders above it must be
    open to everybody, which those of the lease are not.
    """
    parent = next((path for path in map(Path, TEMPORARY) if os.access(path, os.W_OK)), None)
    if parent is None:
        raise NotStartedError(f"neither of {' and '.join(TEMPORARY)} can be written to")
    folder = parent / f"{NAME}-{tenancy.lease.id}"
    tenancy.undone_by(Undo(("rm", "-rf", str(folder)), REMOVE_SECONDS))
    made = folder / platform
    made.parent.mkdir(mode=0o711, exist_ok=True)
    made.mkdir(mode=0o711)
    return made


def _await(process: subprocess.Popen[bytes], deadline: Deadline, log: Path, begin: int) -> None:
    """Wait until the first process speaks."""
    assert process.stdout is not None
    said = b""
    while not said.endswith(UP):
        if deadline.passed:
            raise NotStartedError(f"no process runs in it within {deadline.seconds:.0f} s")
        ready, _, _ = select.select([process.stdout], [], [], min(GLANCE, deadline.left()))
        chunk = os.read(process.stdout.fileno(), SAID) if ready else None
        if chunk == b"":
            raise NotStartedError(_reason(log, begin) or "runsc ended without a word")
        said = (said + (chunk or b""))[-SAID:]


def _reason(log: Path, begin: int) -> str:
    """Return the last line that `runsc` wrote."""
    with log.open("rb") as file:
        file.seek(max(begin, log.stat().st_size - SAID))
        lines = plain(file.read(SAID)).strip().splitlines()
    return lines[-1].strip() if lines else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the sandbox: by the end of its input, or by force. `runsc` takes its children along."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(LEAVE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
