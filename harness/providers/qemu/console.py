"""Reads a guest's console log while it grows: its last lines, and a kernel panic."""

import os
from pathlib import Path

from harness.machine import guarded
from harness.text import plain

LAST_WORDS = 4000
"""Characters of the log's end that an error shows."""

REMEMBERED = 1 << 20
"""Bytes that are searched at most; of a flood only a part is read."""

KEPT = 4 << 20
"""Bytes to keep of one boot's part of the log: half from its start, half from its end."""

FLOOD = 64 << 20
"""Bytes at which the log of a running guest is trimmed, so that it cannot fill the disk."""

LEFT_OUT = "\n[reuseport-matrix: {} bytes of a flood were left out here]\n"

PANIC = "Kernel panic - not syncing"
"""Printed by vpanic() (kernel/panic.c); the reason follows on the same line."""


class Console:
    """The part of a log file that one boot writes; the parts of earlier boots do not change."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        guarded.check(path, inside=path.parent)  # QEMU itself follows links, and waits for a pipe
        self.path = path
        self._begin = self._next = path.stat().st_size if path.exists() else 0
        self._text = ""

    def text(self) -> str:
        """Return this boot's output so far (a flood's end only), control characters escaped."""
        self.trim(FLOOD)
        try:
            with guarded.file(self.path, inside=self.path.parent) as file:
                file.seek(self._next)
                new = file.read(REMEMBERED)
        except FileNotFoundError:
            return self._text
        self._next += len(new)
        self._text = (self._text + plain(new))[-REMEMBERED:]
        return self._text

    def raw(self) -> bytes:
        """Return the first `REMEMBERED` bytes of this boot's output, unchanged."""
        with guarded.file(self.path, inside=self.path.parent) as file:
            file.seek(self._begin)
            return file.read(REMEMBERED)

    def tail(self) -> str:
        """Return the end of this boot's output."""
        return self.text()[-LAST_WORDS:].strip()

    def trim(self, limit: int = KEPT) -> None:
        """Remove the middle of a log of more than `limit` bytes.

        QEMU may append meanwhile; what it writes at that moment may be lost as well.
        """
        size = self.path.stat().st_size if self.path.exists() else 0
        surplus = size - self._begin - KEPT
        if size - self._begin <= limit:
            return
        with guarded.file(self.path, "r+b", inside=self.path.parent) as file:
            file.seek(size - KEPT // 2)
            end = file.read(KEPT // 2)
            file.truncate(self._begin + KEPT // 2)
            file.seek(0, os.SEEK_END)
            file.write(LEFT_OUT.format(surplus).encode() + end)
            self._next = max(self._begin, file.tell() - len(end))

    def panic(self) -> str | None:
        """Return the line of a Linux kernel's panic, None if it did not panic."""
        text = self.text()
        start = text.find(PANIC)
        return text[start:].partition("\n")[0] if start >= 0 else None
