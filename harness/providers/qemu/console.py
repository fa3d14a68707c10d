"""Reads a guest's console log while it grows: its last lines, and a kernel panic."""

import os
from collections.abc import Sequence
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


REMARK = "[reuseport-matrix: {}]"

PIECE = 8
"""Characters of a long secret that are hidden even if the rest of it is not beside them."""


def masked(text: str, secrets: Sequence[str]) -> str:
    """Return the text with secrets, and `PIECE` or more characters of them, as asterisks."""
    hidden = list(text)
    for secret in secrets:
        size = min(PIECE, len(secret))
        pieces = {secret[begin : begin + size] for begin in range(len(secret) - size + 1)} - {""}
        for piece in pieces:
            at = text.find(piece)
            while at >= 0:
                hidden[at : at + size] = "*" * size
                at = text.find(piece, at + 1)
    return "".join(hidden)


class Console:
    """The part of a log file that one boot writes; the parts of earlier boots do not change."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        guarded.check(path, inside=path.parent)  # QEMU itself follows links, and waits for a pipe
        self.path = path
        self.begin = self._next = path.stat().st_size if path.exists() else 0
        self._text = ""
        self._trimmed = False

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
            file.seek(self.begin)
            return file.read(REMEMBERED)

    def note(self, text: str) -> tuple[int, int]:
        """Add a line that is not the guest's; return where it begins and ends in the file."""
        line = f"\n{REMARK.format(text)}\n".encode()
        with guarded.file(self.path, "ab", inside=self.path.parent) as file:
            file.write(line)
            file.flush()
            end = file.tell()
        return end - len(line), end

    def hide(self, secrets: Sequence[str], since: int) -> None:
        """Overwrite what the guest echoed of secrets, from the position `since` in the file on.

        The length stays, because QEMU may append meanwhile.
        """
        with guarded.file(self.path, "r+b", inside=self.path.parent) as file:
            size = file.seek(0, os.SEEK_END)
            # What was after the middle of a flood is at another position.
            begin = self.begin if self._trimmed else since
            file.seek(begin)
            said = file.read(KEPT).decode("latin-1")
            hidden = masked(said, secrets)
            if hidden == said:
                return
            file.seek(begin)
            file.write(hidden.encode("latin-1"))
        self._next, self._text = max(self.begin, size - REMEMBERED), ""

    def tail(self) -> str:
        """Return the end of this boot's output."""
        return self.text()[-LAST_WORDS:].strip()

    def trim(self, limit: int = KEPT) -> None:
        """Remove the middle of a log of more than `limit` bytes.

        QEMU may append meanwhile; what it writes at that moment may be lost as well.
        """
        size = self.path.stat().st_size if self.path.exists() else 0
        surplus = size - self.begin - KEPT
        if size - self.begin <= limit:
            return
        with guarded.file(self.path, "r+b", inside=self.path.parent) as file:
            file.seek(size - KEPT // 2)
            end = file.read(KEPT // 2)
            file.truncate(self.begin + KEPT // 2)
            file.seek(0, os.SEEK_END)
            file.write(LEFT_OUT.format(surplus).encode() + end)
            self._next = max(self.begin, file.tell() - len(end))
        self._trimmed = True

    def panic(self) -> str | None:
        """Return the line of a Linux kernel's panic, None if it did not panic."""
        text = self.text()
        start = text.find(PANIC)
        return text[start:].partition("\n")[0] if start >= 0 else None
