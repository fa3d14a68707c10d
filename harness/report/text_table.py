"""A table of wrapped texts for a terminal; columns that do not fit follow in further blocks."""

import textwrap
from collections.abc import Iterator, Sequence

from msgspec import Struct

from harness.text import Paint, cells, short

GAP = 2

LABEL_MOST = 40
"""The widest that labels get; they also never get more than two fifths of the width."""

SPAN, BOUND = " \N{EN DASH} ", "\0\N{EN DASH}\0"
"""A span, and how it looks while a text is wrapped; a text that is safe to show has no NUL."""

LEAST = 15
"""The narrowest column: it holds `SO_REUSEPORT_LB`."""


class TextRow(Struct, frozen=True):
    """A label and a text for each column; lines of a text are wrapped one by one.

    A `title` is bold. A row without texts is a heading, and may be as wide as the table.
    """

    label: str
    texts: tuple[str, ...] = ()
    title: bool = False


def lines(heads: Sequence[str], rows: Sequence[TextRow], width: int, paint: Paint) -> Iterator[str]:
    """Yield lines of at most `width` columns; texts need not be safe to show."""
    label = min(max((cells(short(row.label)) for row in rows if row.texts), default=0), LABEL_MOST)
    label = min(label, width * 2 // 5)
    room = width - label
    fitting = max(1, room // (LEAST + GAP))
    count = -(-len(heads) // fitting)
    each = -(-len(heads) // max(count, 1))
    for start in range(0, len(heads), each or 1):
        own = slice(start, start + each)
        if start:
            yield ""
        widest = [
            max(cells(short(line)) for text in column for line in text.splitlines() or [""])
            for column in zip(
                heads[own], *(row.texts[own] for row in rows if row.texts), strict=True
            )
        ]
        widths = [min(most, room // each - GAP) for most in widest]
        yield from _row(TextRow("", tuple(heads[own]), title=True), label, widths, paint)
        for row in rows:
            part = TextRow(row.label, row.texts[own], row.title)
            yield from _row(part, label, widths, paint)


def _row(row: TextRow, label: int, widths: Sequence[int], paint: Paint) -> Iterator[str]:
    style = "1" if row.title else None
    if not row.texts:
        yield paint(short(row.label), style)
        return
    head = _wrapped(row.label, label)
    columns = [_wrapped(text, width) for text, width in zip(row.texts, widths, strict=True)]
    for at in range(max(len(head), *map(len, columns))):
        texts = [_padded(head, at, label)]
        texts += [_padded(one, at, width) for one, width in zip(columns, widths, strict=True)]
        yield (" " * GAP).join(paint(text, style) for text in texts).rstrip()


def _wrapped(text: str, width: int) -> list[str]:
    """Wrap each line of a text; a span of releases stays together."""
    return [
        piece.replace(BOUND, SPAN)
        for line in text.splitlines()
        for piece in textwrap.wrap(
            short(line).replace(SPAN, BOUND),
            max(width, 1),
            subsequent_indent="  ",
            break_on_hyphens=False,
        )
        or [""]
    ]


def _padded(pieces: Sequence[str], at: int, width: int) -> str:
    text = pieces[at] if at < len(pieces) else ""
    return text + " " * (width - cells(text))
