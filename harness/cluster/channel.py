"""Two queues on the scheduler that connect home with one task, and what crosses them: bytes.

A queue of Dask drops an item as soon as it is read, and gives each item once. Each item begins with
its number, so that a lost or repeated one is noticed. Neither side ever waits in a queue with a
time limit of Dask's: the scheduler would log each one that passes, and an item could be lost.
"""

import threading
from typing import TYPE_CHECKING

from harness.errors import HarnessError

if TYPE_CHECKING:
    from distributed import Client

ROOM = 32
"""Items that a queue holds. Who puts more waits until they are read, so nothing piles up."""

NUMBER = 8
"""Bytes of an item's number."""


class ChannelError(HarnessError):
    """The channel does not work any more: the scheduler is gone, or the other side is not ours."""


class Channel:
    """One side's ends of both queues. Several threads may `put` at once, one may `get`."""

    def __init__(self, client: "Client", name: str, *, home: bool) -> None:
        """Make the queues, or join them. Home does so first, and its `ROOM` holds."""
        from distributed import Queue

        self.name = name
        there, back = f"{name}-there", f"{name}-back"
        try:
            self._out = Queue(there if home else back, client=client, maxsize=ROOM)
            self._in = Queue(back if home else there, client=client, maxsize=ROOM)
        except Exception as exc:
            raise ChannelError(f"the scheduler makes no queue: {exc}") from exc
        self._lock = threading.Lock()
        self._sent = self._read = 0

    def put(self, content: bytes, timeout: float | None = None) -> None:
        """Send bytes; wait while the queue is full, but not longer than `timeout` seconds."""
        with self._lock:
            item = self._sent.to_bytes(NUMBER) + content
            self._sent += 1
            try:
                self._out.put(item, callback_timeout=timeout)
            except Exception as exc:  # Dask raises whatever its scheduler raises
                raise ChannelError(f"the scheduler takes no message: {_words(exc)}") from exc

    def get(self) -> bytes:
        """Wait for the next bytes; raise `ChannelError` if they are not the next ones."""
        try:
            item = self._in.get()
        except Exception as exc:
            raise ChannelError(f"the scheduler gives no message: {_words(exc)}") from exc
        expected = self._read.to_bytes(NUMBER)
        if not isinstance(item, bytes) or item[:NUMBER] != expected:
            raise ChannelError("what comes through the channel is not the next message")
        self._read += 1
        return item[NUMBER:]

    def close(self, *, alone: bool = False) -> None:
        """Leave the queues; the scheduler drops them when both sides have left.

        `alone`: the other side is gone for good, and leaves with us.
        """
        for queue in (self._out, self._in) * (1 + alone):
            try:
                queue.close()
            except Exception as exc:
                raise ChannelError(f"the scheduler is not told: {_words(exc)}") from exc


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return "the connection to it is closed"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
