"""A guest's console log, read while it grows: what it said last, and whether its kernel died."""

import os
from pathlib import Path

from harness.text import plain

LAST_WORDS = 4000
"""Characters of the end that go into an error."""

REMEMBERED = 1 << 20
"""Bytes that are looked through; a guest that floods its console is read in part."""

KEPT = 4 << 20
"""Bytes that stay of one boot's part of the log, half from its beginning and half from its end."""

FLOOD = 64 << 20
"""Bytes at which a guest that is still at it is trimmed, lest it fill the disk."""

LEFT_OUT = "\n[reuseport-matrix: {} bytes of a flood were left out here]\n"

PANIC = "Kernel panic - not syncing"
"""Printed by vpanic() (kernel/panic.c); the rest of the line says why."""


class Console:
    """The part of a log file that one boot writes; earlier boots' parts stay as they are."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._begin = self._next = path.stat().st_size if path.exists() else 0
        self._text = ""

    def text(self) -> str:
        """Return what this boot printed so far (of a flood the end), control characters escaped."""
        self.trim(FLOOD)
        try:
            with self.path.open("rb") as file:
                file.seek(self._next)
                new = file.read(REMEMBERED)
        except FileNotFoundError:
            return self._text
        self._next += len(new)
        self._text = (self._text + plain(new))[-REMEMBERED:]
        return self._text

    def raw(self) -> bytes:
        """Return what this boot printed so far, as it came, to a limit."""
        with self.path.open("rb") as file:
            file.seek(self._begin)
            return file.read(REMEMBERED)

    def tail(self) -> str:
        """Return the end of what this boot printed."""
        return self.text()[-LAST_WORDS:].strip()

    def trim(self, limit: int = KEPT) -> None:
        """Take the middle out of a flood of more than `limit` bytes.

        QEMU, which appends, may go on meanwhile: what it writes just then may be left out, too.
        """
        size = self.path.stat().st_size if self.path.exists() else 0
        surplus = size - self._begin - KEPT
        if size - self._begin <= limit:
            return
        with self.path.open("r+b") as file:
            file.seek(size - KEPT // 2)
            end = file.read(KEPT // 2)
            file.truncate(self._begin + KEPT // 2)
            file.seek(0, os.SEEK_END)
            file.write(LEFT_OUT.format(surplus).encode() + end)
            self._next = max(self._begin, file.tell() - len(end))

    def panic(self) -> str | None:
        """Return the line of a Linux kernel's panic, if there is one."""
        text = self.text()
        start = text.find(PANIC)
        return text[start:].partition("\n")[0] if start >= 0 else None
