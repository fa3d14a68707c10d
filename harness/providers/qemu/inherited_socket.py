"""A socket that QEMU inherits: it has no port and no file, so no other process can connect."""

import socket
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from harness.deadline import Deadline
from harness.errors import BootError
from harness.transport import Alive

GLANCE = 0.1
"""Seconds between two checks of the deadline and of whether QEMU still runs."""

CLOSING_SECONDS = 2.0
"""Limit for QEMU's exit status to arrive after its descriptors close, to show in the message."""

LINE_LIMIT = 1 << 20


class Silence(Exception):  # noqa: N818 - callers translate it at once
    """No line arrived in time, or one longer than `LINE_LIMIT`."""


class InheritedSocket:
    """A text connection to QEMU, which inherits the end `theirs` (`-chardev socket,fd=`)."""

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
        """Close our copy of QEMU's end, so that we notice when QEMU closes its own."""
        self.theirs.close()

    def say(self, line: bytes, alive: Alive, descriptors: Sequence[int] = ()) -> None:
        """Send a line, perhaps with open files; raise `BootError` if QEMU has closed its end."""
        try:
            if descriptors:
                sent = socket.send_fds(self._ours, [line], descriptors)
                line = line[sent:]
            self._ours.sendall(line + b"\n")
        except OSError as exc:
            raise self._closed(alive) from exc

    def hear(self, deadline: Deadline, alive: Alive) -> bytes:
        """Return the next line; raise `BootError` with the reason of its death, or `Silence`."""
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
            except OSError as exc:  # a reset: QEMU ended before it read everything
                raise self._closed(alive) from exc
            if not said:
                raise self._closed(alive)
            self._read += said
        line, _, self._read = self._read.partition(b"\n")
        return line

    @staticmethod
    def _closed(alive: Alive) -> BootError:
        """Return why QEMU closed it; its descriptors close before its exit status arrives."""
        until = Deadline(CLOSING_SECONDS)
        while (reason := alive()) is None and not until.passed:
            time.sleep(0.01)
        return BootError(reason or "QEMU closed its monitor")
