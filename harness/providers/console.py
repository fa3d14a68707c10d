"""A guest's console log, read while it grows: what it said last, and whether its kernel died."""

from pathlib import Path

TAIL = 4000
"""Characters that go into a message."""

REMEMBERED = 1 << 20
"""Bytes that are looked through; a guest that floods its console is read in part."""

PANIC = "Kernel panic - not syncing"
"""Printed by vpanic() (kernel/panic.c); the rest of the line says why."""


class Console:
    """The part of a log file that one boot writes; earlier boots' parts stay as they are."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._next = path.stat().st_size if path.exists() else 0
        self._text = ""

    def text(self) -> str:
        """Return what this boot printed so far (of a flood the end), control characters escaped."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._next)
                new = file.read(REMEMBERED)
        except FileNotFoundError:
            return self._text
        self._next += len(new)
        self._text = (self._text + plain(new))[-REMEMBERED:]
        return self._text

    def tail(self) -> str:
        """Return the last lines."""
        return self.text()[-TAIL:].strip()

    def panic(self) -> str | None:
        """Return the line of a Linux kernel's panic, if there is one."""
        text = self.text()
        start = text.find(PANIC)
        return text[start:].partition("\n")[0] if start >= 0 else None


def plain(said: bytes) -> str:
    """Decode what a guest said, harmless to a terminal: controls but line ends are escaped."""
    text = said.decode("ascii", errors="backslashreplace").replace("\r", "")
    return "".join(
        char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text
    )
