"""Runs a tool on this machine until it ends or a deadline passes. Use it for every such tool."""

import functools
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.deadline import GLANCE, Deadline
from harness.machine import guarded
from harness.protocols import Completed

SBIN = ("/usr/sbin", "/sbin")
"""Folders of tools and daemons, which are not in an ordinary user's PATH on Debian."""

TRIED_SECONDS = 5.0
"""The time for a test of the prefix with `true`. If that hangs, the prefix is not used."""

LOG_LIMIT = 256 << 10
"""At most this many bytes are returned, from the end of the log."""


class ToolTimeoutError(Exception):
    """The tool still ran at the deadline and was ended. The caller translates this error.

    `said` is what the tool had written to its log.
    """

    def __init__(self, message: str, said: bytes = b"") -> None:
        super().__init__(message)
        self.said = said


def execute(
    argv: Sequence[str],
    deadline: Deadline,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
    grace: float = 0.0,
    started: Callable[[int], None] | None = None,
) -> Completed:
    """Run `argv` in its own process group, and kill the whole group at the deadline.

    A missing tool has status 127, as in a shell. LC_ALL=C makes messages English, because some are
    parsed. With a `log`, both streams are appended to it as they come, and returned as `stdout`.
    With `grace`, the group gets SIGINT first and this many seconds to clean up. `started` is called
    with the pid. Raise `ToolTimeoutError` at the deadline.
    """
    with _streams(log) as (stdout, stderr):
        begin = log.stat().st_size if log is not None else 0
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=folder,
                env={**os.environ, "LC_ALL": "C", **(environment or {})},
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError) as exc:
            return Completed(127, b"", str(exc).encode())
    with process:
        try:
            if started is not None:
                started(process.pid)
            done = _communicate(process, deadline)
        except ToolTimeoutError as exc:
            _interrupt(process, grace)
            raise ToolTimeoutError(str(exc), _written(log, begin)) from exc
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return Completed(done.status, done.stdout + _written(log, begin), done.stderr)


@contextmanager
def _streams(log: Path | None) -> Iterator[tuple[int, int]]:
    if log is None:
        yield subprocess.PIPE, subprocess.PIPE
        return
    with guarded.file(log, "ab", inside=log.parent) as file:
        yield file.fileno(), file.fileno()


def _written(log: Path | None, begin: int) -> bytes:
    if log is None:
        return b""
    with guarded.file(log, inside=log.parent) as file:
        file.seek(max(begin, log.stat().st_size - LOG_LIMIT))
        return file.read(LOG_LIMIT)


def _communicate(process: subprocess.Popen[bytes], deadline: Deadline) -> Completed:
    while True:
        try:
            stdout, stderr = process.communicate(timeout=min(GLANCE, deadline.left()))
        except subprocess.TimeoutExpired as exc:
            if deadline.passed:
                raise ToolTimeoutError(f"{process.args!r} did not end in time") from exc
        else:
            return Completed(process.returncode, stdout or b"", stderr or b"")


def _interrupt(process: subprocess.Popen[bytes], grace: float) -> None:
    """Ask the group to end, as Ctrl-C would, and wait up to `grace` seconds."""
    if grace > 0:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)


def installed(name: str) -> str | None:
    """Return the path of a tool of this machine, which may be one for root; None if it has none."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(SBIN))


def last_will(*, child: bool = True) -> tuple[str, ...]:
    """Return a command prefix that kills a child when the thread that started it ends.

    Empty where setpriv lacks the option, as in busybox. See prctl(2), PR_SET_PDEATHSIG: the end of
    the *thread* counts, so the thread must live as long as its child should. The signal is not
    sent if the parent ended before setpriv asked for it; so a `child` of this process then looks
    who its parent is, and does not start the tool under another one. Pass False for a grandchild.
    """
    prefix = _pdeathsig()
    if not prefix or not child:
        return prefix
    return (*prefix, "sh", "-c", f'[ "$PPID" = {os.getpid()} ] && exec "$@"', "sh")


@functools.cache
def _pdeathsig() -> tuple[str, ...]:
    prefix = ("setpriv", "--pdeathsig", "KILL")
    if shutil.which(prefix[0]) is None:
        return ()
    try:
        return prefix if execute([*prefix, "true"], Deadline(TRIED_SECONDS)).status == 0 else ()
    except ToolTimeoutError:
        return ()
