"""Commands in a guest over one SSH connection, each in a channel of its own."""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import paramiko

from harness.deadline import Deadline
from harness.errors import CommandTimeoutError, GuestLostError, InfrastructureError, Phase
from harness.protocols import Completed
from harness.transport.login import PROBLEMS, log_in
from harness.transport.race import Alive, Login, sentence
from harness.transport.shell import TEMPORARY, Streams, login_command, push
from harness.transport.terminal import STANDARD_TERMINAL, Terminal, begin, relay

logger = logging.getLogger(__name__)

WINDOW = 2 << 20
"""Bytes that the guest may send before we have read them: paramiko's default."""

CHUNK = 1 << 16

KEEPALIVE_SECONDS = 15
"""Keeps address translations on the way to a distant machine alive."""

GRACE_SECONDS = 2.0
"""After a command's deadline, until the connection is closed under paramiko's unbounded waits: the
reply to `exec`, and a write to a peer that does not read."""

OPEN_SECONDS = 30.0
"""For a session to open, where no command's timeout says how long."""


def _always() -> str | None:
    return None


class SshTransport:
    """A guest behind an SSH server. Any thread may `run`, several at once; any may `close`."""

    def __init__(
        self,
        connection: paramiko.Transport,
        provenance: Mapping[str, str],
        folders: Sequence[str] = TEMPORARY,
    ) -> None:
        self._connection = connection
        self._provenance = provenance
        self._folders = folders

    @classmethod
    def connect(
        cls,
        host: str,
        port: int,
        user: str,
        key: paramiko.PKey,
        host_key: paramiko.PKey | None,
        deadline: Deadline,
        provenance: Mapping[str, str],
        alive: Alive = _always,
    ) -> "SshTransport":
        """Log in as soon as the guest allows it; raise `BootError` at the deadline.

        `alive` is asked about ten times a second and says why waiting is in vain, or None. With
        no `host_key` to insist on, the one that answered is in `host_key` afterwards.
        """
        return cls.log_in(Login(host, port, user, (key,), host_key), deadline, provenance, alive)

    @classmethod
    def log_in(
        cls,
        login: Login,
        deadline: Deadline,
        provenance: Mapping[str, str],
        alive: Alive = _always,
        folders: Sequence[str] = TEMPORARY,
    ) -> "SshTransport":
        """Log in as `connect` does; `folders` are where a program of ours may be put."""
        connection = log_in(login, deadline, alive)
        connection.set_keepalive(KEEPALIVE_SECONDS)
        return cls(connection, provenance, folders)

    @property
    def provenance(self) -> Mapping[str, str]:
        """How this guest came to be."""
        return self._provenance

    @property
    def folders(self) -> Sequence[str]:
        """Where there is room for a moment's file."""
        return self._folders

    @property
    def host_key(self) -> paramiko.PKey:
        """The key that the guest proved: what a later connection has to pin."""
        return self._connection.get_remote_server_key()

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float,
        silence: float | None = None,
    ) -> Completed:
        """Run `argv`; when the time is over only the channel is closed, the guest's agent ends
        itself by its alarm.

        A command has ended when it has exited and nobody holds its output any more.
        """
        deadline = Deadline(timeout, silence=silence)
        streams = Streams()
        command = login_command(argv)
        try:
            with self._watched(Deadline(timeout)):
                channel = self._connection.open_session(timeout=timeout)
                with _closing(channel):
                    channel.exec_command(command)
                    _feeding(channel, stdin)
                    _drain(channel, streams, deadline)
                    channel.status_event.wait(deadline.left())
        except PROBLEMS as exc:
            raise self._failure(argv, deadline, streams, sentence(exc)) from exc
        if channel.exit_status < 0 or not channel.eof_received:
            raise self._failure(argv, deadline, streams, "the command's end was not reported")
        return streams.completed(channel.exit_status)

    def push(self, content: bytes, path: str, *, executable: bool = False, timeout: float) -> None:
        """Write a file, whole or not at all."""
        push(self.run, content, path, "0700" if executable else "0600", timeout)

    @contextmanager
    def guarded(self, argv: Sequence[str]) -> Iterator[None]:
        """Run `argv` beside the block, which begins when it has said something.

        It sees the end of its input when the block ends, and also when the connection breaks or
        this process is killed: so it can put things in order in the guest whatever happens here.
        """
        try:
            with self._watched(Deadline(OPEN_SECONDS)):
                channel = self._connection.open_session(timeout=OPEN_SECONDS)
                channel.settimeout(OPEN_SECONDS)
                channel.exec_command(login_command(argv))
                begun = bool(channel.recv(1))
        except PROBLEMS as exc:
            message = f"{argv[0]} does not begin in the guest: {sentence(exc)}"
            raise GuestLostError(Phase.CONNECT, message) from exc
        if not begun:
            said = channel.recv_stderr(CHUNK).decode(errors="replace").strip()
            raise InfrastructureError(Phase.CONNECT, f"{argv[0]} ends at once in the guest: {said}")
        try:
            yield
        finally:
            with _closing(channel), suppress(*PROBLEMS):
                channel.shutdown_write()
                if not channel.status_event.wait(OPEN_SECONDS) and not channel.closed:
                    logger.warning("the guest was not put in order within %g s", OPEN_SECONDS)

    def interactive(
        self, argv: Sequence[str] | None, terminal: Terminal = STANDARD_TERMINAL
    ) -> int:
        """Run `argv`, or the login shell, on this terminal; return its status.

        Relayed by us, not by the system's ssh: that need not be installed, would log in a second
        time, and wants the keys in files.
        """
        try:
            channel = self._connection.open_session(timeout=OPEN_SECONDS)
            with _closing(channel):
                with self._watched(Deadline(OPEN_SECONDS)):
                    begin(channel, None if argv is None else login_command(argv), terminal)
                status = relay(channel, terminal)
        except PROBLEMS as exc:
            raise GuestLostError(Phase.CONNECT, f"the session broke: {sentence(exc)}") from exc
        if status < 0:
            raise GuestLostError(Phase.CONNECT, "the guest went away")
        return status

    def close(self) -> None:
        """End the connection; a `run` that waits raises `GuestLostError`."""
        self._connection.close()

    @contextmanager
    def _watched(self, deadline: Deadline) -> Iterator[None]:
        timer = threading.Timer(deadline.left() + GRACE_SECONDS, self._connection.close)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _failure(
        self, argv: Sequence[str], deadline: Deadline, streams: Streams, problem: str
    ) -> InfrastructureError:
        """Tell a command that took too long from a guest that is gone."""
        partial = streams.stdout.kept
        if deadline.passed:
            message = f"{argv[0]} {deadline.missed}"
            return CommandTimeoutError(Phase.SCENARIO, message, partial=partial)
        self.close()
        message = f"the guest was lost while {argv[0]} ran: {problem}"
        return GuestLostError(Phase.SCENARIO, message, partial=partial)


@contextmanager
def _closing(channel: paramiko.Channel) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(*PROBLEMS):  # a broken connection closes its channels itself
            channel.close()


def _feeding(channel: paramiko.Channel, stdin: bytes) -> None:
    """Send `stdin` and its end, from another thread: the outputs have to be drained meanwhile.

    The thread ends by itself: its last byte is sent, or the channel that it waits for is closed.
    """
    if stdin:
        threading.Thread(target=_feed, args=(channel, memoryview(stdin)), daemon=True).start()
    else:
        channel.shutdown_write()


def _feed(channel: paramiko.Channel, rest: memoryview) -> None:
    with suppress(*PROBLEMS):  # whatever broke, the command's end or its absence tells
        while rest and (sent := channel.send(bytes(rest[:CHUNK]))):
            rest = rest[sent:]
        channel.shutdown_write()


def _drain(channel: paramiko.Channel, streams: Streams, deadline: Deadline) -> None:
    """Read both streams until both ended or the deadline came.

    One event serves both buffers. A read that empties one clears it, perhaps right after the
    other buffer set it: so it is waited for only after a look at both that found nothing.
    """
    event = threading.Event()
    channel.in_buffer.set_event(event)
    channel.in_stderr_buffer.set_event(event)
    while not deadline.passed:
        ended = channel.eof_received or channel.closed  # before the look: all data has come then
        if _read(channel, streams):
            deadline.heard()
            continue
        if ended:
            return
        event.wait(deadline.left())


def _read(channel: paramiko.Channel, streams: Streams) -> bool:
    """Take what has come; refuse a guest that sends more than it was allowed (RFC 4254, 5.2)."""
    if len(channel.in_buffer) + len(channel.in_stderr_buffer) > 2 * WINDOW:
        raise paramiko.SSHException("the guest ignores flow control")
    if out := channel.recv_ready():
        streams.stdout.add(channel.recv(WINDOW))
    if err := channel.recv_stderr_ready():
        streams.stderr.add(channel.recv_stderr(WINDOW))
    return out or err
