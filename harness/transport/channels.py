"""One command's channel: both directions at once, whatever the guest does with its windows."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import paramiko
from paramiko.buffered_pipe import BufferedPipe

from harness.deadline import Deadline
from harness.transport.login import PROBLEMS
from harness.transport.shell import Streams

WINDOW = 256 << 10
"""Bytes that the guest may send before we have read them. A guest is near; paramiko's 2 MiB, held
in three copies while they are read, would be most of what eight guests that flood cost."""

CHUNK = 1 << 16


class _Window(BufferedPipe):  # type: ignore[type-arg]  # generic in the stubs only
    """Paramiko's buffer of one stream, which by itself holds what is sent beyond the window."""

    def feed(self, data: bytes) -> None:
        """Take data, or end the connection to a guest that was not allowed to send them."""
        if len(self) + len(data) > 2 * WINDOW:  # both streams share one window
            raise paramiko.SSHException("the guest ignores flow control")  # RFC 4254, 5.2
        super().feed(data)


def opened(connection: paramiko.Transport, timeout: float) -> paramiko.Channel:
    """Open a channel on which no more comes than is read."""
    channel = connection.open_session(window_size=WINDOW, timeout=timeout)
    channel.in_buffer, channel.in_stderr_buffer = _Window(), _Window()
    return channel


@contextmanager
def closing(channel: paramiko.Channel) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(*PROBLEMS):  # a broken connection closes its channels itself
            channel.close()


def feeding(channel: paramiko.Channel, stdin: bytes) -> None:
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


def drain(channel: paramiko.Channel, streams: Streams, deadline: Deadline) -> None:
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
    """Take what has come."""
    if out := channel.recv_ready():
        streams.stdout.add(channel.recv(CHUNK))
    if err := channel.recv_stderr_ready():
        streams.stderr.add(channel.recv_stderr(CHUNK))
    return out or err
