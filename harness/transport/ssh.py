"""Runs commands in a guest over one SSH connection, each in its own channel."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import paramiko

from harness import clocks
from harness.deadline import Deadline
from harness.errors import CommandTimeoutError, GuestLostError, InfrastructureError, Phase
from harness.protocols import NO_ROOT, Completed, Sink
from harness.transport.account import unusable
from harness.transport.channels import TooManySessionsError, closing, drain, feeding, opened
from harness.transport.frame import Frame, FramedStreams
from harness.transport.login import PROBLEMS, log_in
from harness.transport.race import Alive, SshLogin, sentence
from harness.transport.shell import TEMPORARY, Streams, login_command, push
from harness.transport.terminal import STANDARD_TERMINAL, Terminal, UnwrittenError, begin, relay

logger = logging.getLogger(__name__)

KEEPALIVE_SECONDS = 15
"""Keeps entries in NAT tables on the way to a distant machine alive."""

GRACE_SECONDS = 2.0
"""The wait after a command's deadline until the connection is closed. This ends paramiko's waits
without a limit: for the reply to `exec`, and for a peer that does not read."""

DYING_SECONDS = 1.0
"""How long to wait, after a connection broke, for the reason why the guest died."""

UNREAD = 128 + signal.SIGPIPE
"""A shell's status for a command that SIGPIPE ended (POSIX sh, 2.8.2); ssh(1) ends like this."""

GLANCE = 0.5
"""Seconds between two checks whether a silent guest is dead."""


def _always() -> str | None:
    return None


def _no_console() -> str:
    return ""


class SshTransport:
    """A guest with an SSH server. Several threads may `run` at once; any may `close`."""

    def __init__(
        self,
        connection: paramiko.Transport,
        provenance: Mapping[str, str],
        folders: Sequence[str] = TEMPORARY,
        alive: Alive = _always,
        last_words: Callable[[], str] = _no_console,
    ) -> None:
        self._connection = connection
        self._provenance = provenance
        self.server_root = NO_ROOT
        self._folders = folders
        self._alive = alive
        self._last_words = last_words

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
        last_words: Callable[[], str] = _no_console,
    ) -> "SshTransport":
        """Log in as soon as the guest allows it; raise `BootError` at the deadline.

        `alive` is called a few times a second, now and while commands run; it returns None, or the
        reason why the guest is dead. `last_words` returns the end of the console. Without a
        `host_key` any key is accepted; the property `host_key` then has it.
        """
        expected = () if host_key is None else (host_key,)
        login = SshLogin(host, port, user, (key,), expected)
        connection = log_in(login, deadline, alive)
        connection.set_keepalive(KEEPALIVE_SECONDS)
        return cls(connection, provenance, alive=alive, last_words=last_words)

    @classmethod
    def log_in(
        cls,
        login: SshLogin,
        deadline: Deadline,
        provenance: Mapping[str, str],
        folders: Sequence[str] = TEMPORARY,
    ) -> "SshTransport":
        """Log in as `connect` does; `folders` are those of `Transport.folders`."""
        connection = log_in(login, deadline, _always)
        connection.set_keepalive(KEEPALIVE_SECONDS)
        return cls(connection, provenance, folders)

    @property
    def provenance(self) -> Mapping[str, str]:
        """How this guest was started."""
        return self._provenance

    @property
    def folders(self) -> Sequence[str]:
        """Folders where the harness may put a program."""
        return self._folders

    @property
    def host_key(self) -> paramiko.PKey:
        """The host key that the guest proved to have; a later connection must pin it."""
        return self._connection.get_remote_server_key()

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float,
        silence: float | None = None,
        into: Sink | None = None,
    ) -> Completed:
        """Run `argv`; at the deadline only the channel is closed: the agent ends by its own alarm.

        A command has ended when it has exited and no process holds its output open any more.
        """
        deadline = Deadline(timeout, silence=silence)
        frame, streams = Frame(), Streams(into)
        framed, command = frame.around(streams), frame.command(argv)
        try:
            with self._watched(Deadline(timeout)):
                channel = opened(self._connection, timeout)
                with closing(channel):
                    channel.exec_command(command)  # nosec B601  # quoted by Frame.command
                    feeding(channel, stdin)
                    drain(channel, framed, deadline)
                    channel.status_event.wait(deadline.left())
        except PROBLEMS as exc:
            raise self._failure(argv, deadline, sentence(exc)) from exc
        finally:
            framed.finish()
        if channel.exit_status < 0 or not channel.eof_received:
            broke = self._connection.get_exception()
            problem = "the command's end was not reported" if broke is None else sentence(broke)
            raise self._failure(argv, deadline, problem)
        if not framed.begun:
            ended = f"ends with status {channel.exit_status}"
            raise unusable(self._connection, framed.noise, ended)
        return streams.completed(channel.exit_status)

    def push(self, content: bytes, path: str, *, executable: bool = False, timeout: float) -> None:
        """Write a file, whole or not at all."""
        push(self.run, content, path, "0700" if executable else "0600", timeout)

    @contextmanager
    def guarded(self, argv: Sequence[str]) -> Iterator[None]:
        """Run `argv` during the block, which begins after the first output of `argv`.

        The command sees the end of its input when the block ends, but also when the connection
        breaks or this process is killed. So it can clean up in the guest in every case.
        """
        frame, said = Frame(), bytearray()
        streams = Streams(said.extend)
        framed, deadline = frame.around(streams), Deadline(clocks.SESSION)
        try:
            with self._watched(Deadline(clocks.SESSION)):
                channel = opened(self._connection, clocks.SESSION)
                channel.exec_command(frame.command(argv))  # nosec B601  # quoted by Frame.command
                drain(channel, framed, deadline, lambda: bool(said))
        except PROBLEMS as exc:
            message = f"{argv[0]} does not begin in the guest: {sentence(exc)}"
            raise GuestLostError(Phase.CONNECT, message) from exc
        if not said:
            with closing(channel):
                raise self._not_begun(argv, channel, framed, streams)
        try:
            yield
        finally:
            with closing(channel), suppress(*PROBLEMS):
                channel.shutdown_write()
                if not channel.status_event.wait(clocks.SESSION) and not channel.closed:
                    logger.warning("the guest was not cleaned up within %g s", clocks.SESSION)

    def _not_begun(
        self,
        argv: Sequence[str],
        channel: paramiko.Channel,
        framed: FramedStreams,
        streams: Streams,
    ) -> InfrastructureError:
        """Return why a guarding command, or the account's shell before it, said nothing."""
        channel.status_event.wait(GLANCE)
        framed.finish()
        status = channel.exit_status
        ended = f"ends with status {status}" if status >= 0 else "does not end"
        if not framed.begun:
            return unusable(self._connection, framed.noise, ended)
        complaint = streams.completed(status).complaint or "it says nothing"
        message = f"{argv[0]} {ended} in the guest before it is ready: {complaint}"
        return InfrastructureError(Phase.CONNECT, message)

    def roomy(self) -> bool:
        """Return whether the server allows one more session beside those that are open."""
        try:
            opened(self._connection, clocks.SESSION).close()
        except TooManySessionsError:
            return False
        except PROBLEMS as exc:
            message = f"no session begins in the guest: {sentence(exc)}"
            raise GuestLostError(Phase.CONNECT, message) from exc
        return True

    def interactive(
        self, argv: Sequence[str] | None, terminal: Terminal = STANDARD_TERMINAL
    ) -> int:
        """Run `argv` on this terminal, or the login shell if None; return its status.

        This does not use the system's ssh, which may not be installed, would log in a second time,
        and needs the keys in files. If nobody reads the output any more (`| head`), the status is
        that of a command which SIGPIPE ended. Any other failure to write raises its `OSError`.
        """
        try:
            channel = opened(self._connection, clocks.SESSION)
            with closing(channel):
                with self._watched(Deadline(clocks.SESSION)):
                    begin(channel, None if argv is None else login_command(argv), terminal)
                status = relay(channel, terminal)
        except UnwrittenError as exc:
            if isinstance(exc.__cause__, BrokenPipeError):
                return UNREAD
            raise exc.__cause__ or exc from None
        except PROBLEMS as exc:
            message, words = f"the session broke: {sentence(exc)}", self._last_words()
            raise GuestLostError(Phase.CONNECT, message, console=words) from exc
        if status < 0:
            why = self._why() or "the guest went away"
            raise GuestLostError(Phase.CONNECT, why, console=self._last_words())
        return status

    def close(self) -> None:
        """End the connection; a `run` that waits raises `GuestLostError`."""
        self._connection.close()

    @contextmanager
    def _watched(self, deadline: Deadline) -> Iterator[None]:
        """End any wait in the block if the guest dies or the deadline passes, by closing.

        A kernel that panicked and does not reboot leaves its connections open, so no wait would
        notice.
        """
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(over, deadline), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()

    def _watch(self, over: threading.Event, deadline: Deadline) -> None:
        until = time.monotonic() + deadline.left() + GRACE_SECONDS
        while not over.wait(min(GLANCE, max(0.0, until - time.monotonic()))):
            if self._alive() is not None or time.monotonic() >= until:
                self._connection.close()
                return

    def _failure(
        self, argv: Sequence[str], deadline: Deadline, problem: str
    ) -> InfrastructureError:
        """Return the error for a command that took too long, or for a guest that is lost."""
        words = self._last_words()
        if deadline.passed:
            message = f"{argv[0]} {deadline.missed}"
            return CommandTimeoutError(Phase.SCENARIO, message, console=words)
        self.close()
        message = f"the guest was lost while {argv[0]} ran: {self._why() or problem}"
        return GuestLostError(Phase.SCENARIO, message, console=words)

    def _why(self) -> str | None:
        """Return why the guest died, if known; wait a moment, as the connection breaks first."""
        until = Deadline(DYING_SECONDS)
        while (reason := self._alive()) is None and self._alive is not _always:
            if until.passed:
                break
            time.sleep(0.02)
        return reason
