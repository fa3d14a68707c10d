"""Turns what is on a text screen into a stream of text: a screen shows only its last lines."""

from collections.abc import Sequence

from msgspec import Struct

BASE = 0xB8000
SIZE = 0x8000
"""The text memory of a colour screen: two bytes a cell, a character and its colours. The first
visible cell is where the display controller starts to read, and it wraps at the end (IBM VGA)."""

BLANKS = {0: 0x20, 0xFF: 0x20}
"""Characters that a screen shows as blanks."""

CODES = bytes(BLANKS.get(code, code) for code in range(256))


class Layout(Struct, frozen=True):
    """Where the visible part is in the text memory, in cells; `cursor` counts from its start."""

    columns: int
    rows: int
    pitch: int
    start: int
    cursor: int


def lines(memory: bytes, layout: Layout) -> list[str]:
    """Return the visible lines without blanks at their ends, up to the last that is not empty.

    The line with the cursor keeps the blanks before the cursor: they belong to a prompt.
    """
    characters = memory[::2].translate(CODES)
    row, column = divmod(layout.cursor, layout.pitch)
    found = []
    for number in range(layout.rows):
        begin = (layout.start + number * layout.pitch) % len(characters)
        line = (characters + characters)[begin : begin + layout.columns].decode("cp437")
        kept = line.rstrip()
        found.append(kept if number != row else line[: max(len(kept), column)])
    while found and not found[-1]:
        found.pop()
    return found


def added(before: Sequence[str], now: Sequence[str]) -> str:
    """Return what was printed between two looks at a screen; all of it if nothing is left.

    The screen may have scrolled: the first line of `now` is then a later one of `before`.
    """
    for gone in range(len(before)):
        text = _continued(before[gone:], now)
        if text is not None:
            return text
    return "\n".join(["", *now]) if now else ""


def _continued(old: Sequence[str], now: Sequence[str]) -> str | None:
    """Return what follows `old` in `now`; None if `now` does not begin with it."""
    *whole, last = old
    if list(now[: len(whole)]) != whole or len(now) <= len(whole):
        return None
    line = now[len(whole)]
    # A prompt's line grows while it is typed on; blanks at its end are seen only with the cursor.
    kept = last if line.startswith(last) else last.rstrip()
    if not line.startswith(kept):
        return None
    return "\n".join([line[len(kept) :], *now[len(old) :]])
