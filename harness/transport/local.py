"""Runs commands on this machine, each in its own process group, optionally with a prefix."""

import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from types import MappingProxyType

from harness.deadline import Deadline
from harness.errors import CommandTimeoutError, GuestLostError, InfrastructureError, Phase
from harness.protocols import NO_ROOT, Completed, Sink
from harness.transport.shell import TEMPORARY, Streams, push, script

CHUNK = 1 << 16

REAP_SECONDS = 5.0
"""How long to wait for a killed process to end; after that it is left to init."""

GLANCE = 0.2
"""Seconds between two checks whether the transport was closed."""

Process = subprocess.Popen[bytes]

Prefixes = Callable[[], AbstractContextManager[Sequence[str]]]
"""Makes the prefix of one command; the context ends after the command, with its exception."""


class LocalTransport:
    """This machine as a guest. `prefix` is put before every command (`unshare --net`); it may also
    be made anew for each command.

    `folders` are tried before `/tmp` when the harness installs a program.
    """

    def __init__(
        self,
        prefix: Sequence[str] | Prefixes = (),
        provenance: Mapping[str, str] = MappingProxyType({}),
        folders: Sequence[str] = (),
    ) -> None:
        self._prefixes = prefix if callable(prefix) else lambda: nullcontext(prefix)
        self._folders = (*folders, *TEMPORARY)
        self._provenance = provenance
        self.server_root = NO_ROOT
        self._lock = threading.Lock()
        self._alive: set[Process] = set()
        self._closed = False

    @property
    def provenance(self) -> Mapping[str, str]:
        """How this guest was started."""
        return self._provenance

    @property
    def folders(self) -> Sequence[str]:
        """Folders where the harness may put a program."""
        return self._folders

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float,
        silence: float | None = None,
        into: Sink | None = None,
    ) -> Completed:
        """Run `argv`; at the deadline its whole process group is killed.

        A command has ended when it has exited and no process holds its output open any more.
        """
        deadline = Deadline(timeout, silence=silence)
        streams = Streams(into)
        with self._started(["sh", "-c", script(argv)]) as process:
            drained = _pump(process, stdin, streams, deadline, lambda: self._closed)
            ended = drained and _wait(process, deadline.left())
            if not ended and not self._closed:
                message = f"{argv[0]} {deadline.missed}"
                raise CommandTimeoutError(Phase.SCENARIO, message)
        if process.returncode < 0 or self._closed:
            message = f"the shell of {argv[0]} was ended from outside"
            raise GuestLostError(Phase.SCENARIO, message)
        return streams.completed(process.returncode)

    def push(self, content: bytes, path: str, *, executable: bool = False, timeout: float) -> None:
        """Write a file, whole or not at all."""
        push(self.run, content, path, "0700" if executable else "0600", timeout)

    def interactive(self, argv: Sequence[str] | None) -> int:
        """Run `argv` on this terminal, or the user's shell if None; return its status."""
        command = tuple(argv) if argv else (os.environ.get("SHELL", "sh"),)
        inner = ("sh", "-c", script(command))
        with self._prefixes() as prefix:
            try:
                return subprocess.run((*prefix, *inner), check=False).returncode
            except OSError as exc:
                raise _not_started(Phase.CONNECT, (*prefix, *inner), exc) from exc

    def close(self) -> None:
        """Kill all running commands, from any thread; their `run` raises `GuestLostError`."""
        with self._lock:
            self._closed = True
            for process in self._alive:
                _kill(process)

    @contextmanager
    def _started(self, argv: Sequence[str]) -> Iterator[Process]:
        with self._prefixes() as prefix, self._ended(self._start([*prefix, *argv])) as process:
            yield process

    @contextmanager
    def _ended(self, process: Process) -> Iterator[Process]:
        try:
            yield process
        finally:
            # Under the lock, so that `close` in another thread cannot signal a reaped process.
            with self._lock:
                _kill(process)
                _wait(process, REAP_SECONDS)
                self._alive.discard(process)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with suppress(BrokenPipeError):  # close() flushes; nothing is buffered
                        stream.close()

    def _start(self, argv: Sequence[str]) -> Process:
        pipe = subprocess.PIPE
        with self._lock:
            if self._closed:
                raise GuestLostError(Phase.SCENARIO, "this transport was closed")
            try:
                process = subprocess.Popen(
                    argv, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
                )
            except OSError as exc:
                raise _not_started(Phase.SCENARIO, argv, exc) from exc
            self._alive.add(process)
        return process


def _not_started(phase: Phase, argv: Sequence[str], exc: OSError) -> InfrastructureError:
    missing = isinstance(exc, FileNotFoundError)
    hint = "add the folder that holds it, such as /bin, to PATH" if missing else None
    why = exc.strerror or str(exc)
    return InfrastructureError(phase, f"cannot run {argv[0]}: {why}", hint=hint)


def _kill(process: Process) -> None:
    """Kill the group, unless its leader was reaped: after that its number may be used again."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):  # root's processes cannot be killed
            os.killpg(process.pid, signal.SIGKILL)


def _wait(process: Process, timeout: float) -> bool:
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        return False
    return True


def _pump(
    process: Process,
    stdin: bytes,
    streams: Streams,
    deadline: Deadline,
    closed: Callable[[], bool],
) -> bool:
    """Feed and drain at once; return whether both outputs ended before the deadline or `close`.

    The deadline is needed even after a kill: a process that left the group (setsid(2)) still holds
    the outputs open.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    rest = memoryview(stdin)
    captures = {process.stdout.fileno(): streams.stdout, process.stderr.fileno(): streams.stderr}
    source = process.stdin.fileno()
    os.set_blocking(source, False)
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_WRITE)
        for output in captures:
            selector.register(output, selectors.EVENT_READ)
        while captures and not deadline.passed and not closed():
            for key, _ in selector.select(min(GLANCE, deadline.left())):
                if key.fd == source:
                    rest = _feed(source, rest)
                    if not rest:
                        selector.unregister(source)
                        process.stdin.close()
                elif chunk := os.read(key.fd, CHUNK):
                    captures[key.fd].add(chunk)
                    deadline.heard()
                else:
                    selector.unregister(key.fd)
                    del captures[key.fd]
    return not captures


def _feed(source: int, rest: memoryview) -> memoryview:
    """Write what fits and return the rest; nothing is left if the reader has closed the pipe."""
    try:
        return rest[os.write(source, rest[:CHUNK]) :] if rest else rest
    except BrokenPipeError:
        return rest[:0]
    except BlockingIOError:
        return rest
