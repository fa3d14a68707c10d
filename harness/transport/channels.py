"""The SSH channel of one command: sends and receives at once, even if a guest misbehaves."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import paramiko
from paramiko.buffered_pipe import BufferedPipe

from harness.deadline import Deadline
from harness.errors import InfrastructureError, Phase
from harness.transport.frame import FramedStreams
from harness.transport.login import PROBLEMS

WINDOW = 256 << 10
"""Bytes that the guest may send before they are read. Guests are near, so this is enough; with
paramiko's 2 MiB, eight guests that flood would fill memory, as each byte is held in three copies
while it is read."""

CHUNK = 1 << 16


class _Window(BufferedPipe):  # type: ignore[type-arg]  # generic in the stubs only
    """Paramiko's buffer of one stream, with a limit; paramiko keeps all that exceeds the window."""

    def feed(self, data: bytes) -> None:
        """Take data; end the connection if the guest sends more than its window allows."""
        if len(self) + len(data) > 2 * WINDOW:  # both streams share one window
            raise paramiko.SSHException("the guest ignores flow control")  # RFC 4254, 5.2
        super().feed(data)


ROOM_SECONDS = 2.0
"""How long a server that refuses a session is asked again. sshd forgets a session that has ended
only a moment after it has answered, so the next one can be one too many."""

ROOM_PAUSE = 0.02
"""Seconds between two of these questions: sshd needs a few milliseconds."""

REFUSED = (1, 2)
"""Administratively prohibited, connect failed (RFC 4254, 5.1): sshd says 2 if there are too many
sessions, other servers say 1."""


class TooManySessionsError(InfrastructureError):
    """The server allows no further session on this connection. The connection still works."""


def opened(connection: paramiko.Transport, timeout: float) -> paramiko.Channel:
    """Open a channel that buffers no more than its window; raise `TooManySessionsError`."""
    until = time.monotonic() + min(ROOM_SECONDS, timeout)
    while True:
        try:
            channel = connection.open_session(window_size=WINDOW, timeout=timeout)
        except paramiko.ChannelException as exc:
            if exc.code not in REFUSED:
                raise
            if time.monotonic() >= until:
                raise _too_many(exc) from exc
            time.sleep(ROOM_PAUSE)
            continue
        channel.in_buffer, channel.in_stderr_buffer = _Window(), _Window()
        return channel


def _too_many(exc: paramiko.ChannelException) -> TooManySessionsError:
    return TooManySessionsError(
        Phase.CONNECT,
        f"the SSH server refuses one more session on this connection: {exc.text}",
        hint="raise `MaxSessions` in its sshd_config (OpenSSH's default is 10; 1 is enough for a "
        "run, 0 allows no command at all)",
    )


@contextmanager
def closing(channel: paramiko.Channel) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(*PROBLEMS):  # a broken connection closes its channels itself
            channel.close()


def feeding(channel: paramiko.Channel, stdin: bytes) -> None:
    """Send `stdin` and its end from another thread, because the outputs must be drained meanwhile.

    The thread ends by itself, when the last byte is sent or the channel is closed.
    """
    if stdin:
        threading.Thread(target=_feed, args=(channel, memoryview(stdin)), daemon=True).start()
    else:
        channel.shutdown_write()


def _feed(channel: paramiko.Channel, rest: memoryview) -> None:
    with suppress(*PROBLEMS):  # `run` reports what broke: it waits for the command's end
        while rest and (sent := channel.send(bytes(rest[:CHUNK]))):
            rest = rest[sent:]
        channel.shutdown_write()


def _never() -> bool:
    return False


def drain(
    channel: paramiko.Channel,
    streams: FramedStreams,
    deadline: Deadline,
    enough: Callable[[], bool] = _never,
) -> None:
    """Read both streams until both have ended, the deadline has passed, or it is `enough`.

    One event serves both buffers. A read that empties one buffer clears the event, perhaps just
    after the other buffer set it. So wait for it only after both buffers were found empty.
    """
    event = threading.Event()
    channel.in_buffer.set_event(event)
    channel.in_stderr_buffer.set_event(event)
    while not deadline.passed and not enough():
        ended = channel.eof_received or channel.closed  # before reading: then no data can follow
        if _read(channel, streams):
            deadline.heard()
            continue
        if ended:
            return
        event.wait(deadline.left())


def _read(channel: paramiko.Channel, streams: FramedStreams) -> bool:
    """Take the data that has arrived; return whether there was any."""
    if out := channel.recv_ready():
        streams.stdout.add(channel.recv(CHUNK))
    if err := channel.recv_stderr_ready():
        streams.stderr.add(channel.recv_stderr(CHUNK))
    return out or err
