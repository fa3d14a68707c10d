"""A socket that QEMU inherits: no port and no file by which anybody else could meet it."""

import socket
import time
from types import TracebackType
from typing import Self

from harness.deadline import Deadline
from harness.errors import BootError
from harness.transport import Alive

GLANCE = 0.1
"""Seconds between two looks at the deadline, and at whether QEMU lives."""

CLOSING_SECONDS = 2.0
"""For QEMU's exit status to come once its descriptors are closed; the message is poorer without."""

LINE_LIMIT = 1 << 20


class Silence(Exception):  # noqa: N818 - it is what it says, and is translated at once
    """Nothing was said in time, or too much without an end."""


class InheritedSocket:
    """A line of text to QEMU: `theirs` goes to it (`-chardev socket,fd=`), the other end stays."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair()
        self._ours.settimeout(GLANCE)
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.theirs.close()
        self._ours.close()

    def release(self) -> None:
        """Give up our copy of QEMU's end, so that its end is seen."""
        self.theirs.close()

    def say(self, line: bytes, alive: Alive) -> None:
        """Send a line; raise `BootError` if nobody is there any more."""
        try:
            self._ours.sendall(line + b"\n")
        except OSError as exc:
            raise self._closed(alive) from exc

    def hear(self, deadline: Deadline, alive: Alive) -> bytes:
        """Return the next line; raise `BootError` with what the guest died of, or `Silence`."""
        while b"\n" not in self._read:
            reason = alive()
            if reason is not None:
                raise BootError(reason)
            if deadline.passed or len(self._read) > LINE_LIMIT:
                raise Silence
            try:
                said = self._ours.recv(65536)
            except TimeoutError:
                continue
            except OSError as exc:  # it ended without having read all that we said: a reset
                raise self._closed(alive) from exc
            if not said:
                raise self._closed(alive)
            self._read += said
        line, _, self._read = self._read.partition(b"\n")
        return line

    @staticmethod
    def _closed(alive: Alive) -> BootError:
        """Say why it closed: QEMU's descriptors go before its exit status comes."""
        until = Deadline(CLOSING_SECONDS)
        while (reason := alive()) is None and not until.passed:
            time.sleep(0.01)
        return BootError(reason or "QEMU closed its monitor")
