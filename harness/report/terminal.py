"""The matrix as text for a terminal, with guests as columns and a section for each scenario."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from harness.matrix import Entry, Matrix
from harness.matrix.changes import releases
from harness.model import State, word
from harness.report import answer_table, brief, changes, findings
from harness.report.answers import answers
from harness.report.breaking import BREAK, DOT, cut, label_lines, pieces
from harness.report.count_titles import title
from harness.report.grid import (
    DIFFERENT,
    MARKS,
    NOT_ASKED,
    GridRow,
    GridSection,
    Notes,
    legend,
    shares,
)
from harness.report.provenance import headline, origin, provenance, system
from harness.report.row_choice import ALL, FILTERS, RowChoice
from harness.text import Paint, cells, clip, short, wrapped

LABEL_LEAST = 30
"""The least width of the rows' labels. They also get what the guests' columns do not need."""

GAP = 2

NARROWEST = 7

STYLES = {
    State.INCONCLUSIVE: "33",
    State.NOT_APPLICABLE: "2",
    State.NOT_RUN: "2",
    State.INFRASTRUCTURE: "31",
}
"""SGR parameters (ECMA-48, 8.3.117). The colours only repeat the marks."""

NOTES_SHOWN = 3

REASON = 400
"""Columns of a reason. The tail of a console is longer; matrix.json has all of it."""


class _Page(Struct, frozen=True):
    """The settings of a page, and the footnotes collected so far."""

    width: int
    paint: Paint
    verbose: bool
    notes: Notes


class _ColumnGroup(Struct, frozen=True):
    """Guests that fit beside each other, with the widths of their columns and of the labels."""

    label: int
    columns: tuple[tuple[str, int], ...]


def render(
    matrix: Matrix,
    *,
    width: int = 100,
    colour: bool = False,
    verbose: bool = False,
    choice: RowChoice = ALL,
) -> str:
    """Return the matrix in lines of at most `width` columns."""
    page = _Page(width, Paint(colour), verbose, Notes())
    lines = list(_body(choice.of(matrix), page, choice))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _body(matrix: Matrix, page: _Page, choice: RowChoice) -> Iterator[str]:
    yield from wrapped(short(headline(matrix)), page.width)
    if not choice.narrow:
        yield ""
        yield from answer_table.terminal(answers(matrix), page.width, page.paint)
    whole = choice.rows(matrix) or page.verbose
    if whole:
        yield from _matrix(matrix, page, choice)
    else:
        yield ""
        yield from brief.terminal(brief.brief(matrix), page.width, page.paint)
        yield from wrapped(f"rows: {FILTERS}", page.width)
    yield ""
    for guest in matrix.guests:
        said = provenance(matrix, guest) if whole else origin(matrix, guest)
        yield from wrapped(short(said), page.width)
    if choice.narrow:
        return
    told = releases(matrix)
    yield from changes.releases_terminal(told, page.width, page.paint, news=not whole)
    yield ""
    found = findings.findings(matrix)
    yield from findings.terminal(found, page.width, page.paint, news=not whole)


def _matrix(matrix: Matrix, page: _Page, choice: RowChoice) -> Iterator[str]:
    """Yield the rows of every scenario, and the notes below them."""
    found = choice.sections(matrix)
    texts = _texts(found, page.notes)
    for block in _blocks(matrix, found, texts, page.width):
        yield ""
        yield from _header(matrix, block, page)
        for section in found:
            yield ""
            yield from _heading(section, page)
            for row in section.rows:
                yield from _row(section, row, block, page)
    yield ""
    yield from _legend(matrix, page)


def _texts(found: Sequence[GridSection], notes: Notes) -> Mapping[str, list[str]]:
    """Return the texts of each guest's column; this numbers the footnotes in reading order."""
    texts: dict[str, list[str]] = {}
    for section in found:
        for row in section.rows:
            for guest, row_cells in row.cells.items():
                texts.setdefault(guest, []).append(_text(row_cells, notes))
    return texts


def _text(row_cells: Sequence[Entry], notes: Notes) -> str:
    """Return a cell's word and share, or the mark of its state and its footnotes."""
    first = row_cells[0]
    numbers = notes.numbers(row_cells)
    if first.state is State.MEASURED:
        return f"{short(word(first.verdict or ''))} {shares(row_cells)}".rstrip()
    shown = "".join(f"[{number}]" for number in numbers[:NOTES_SHOWN])
    return f"{MARKS[first.state]} {shown}{'…' if len(numbers) > NOTES_SHOWN else ''}"


def _blocks(
    matrix: Matrix, found: Sequence[GridSection], texts: Mapping[str, list[str]], width: int
) -> Iterator[_ColumnGroup]:
    """Yield groups of guests whose columns fit side by side into `width`."""
    labels = [cells(short(section.label(row))) for section in found for row in section.rows]
    least, most = (
        width - sum(needed + GAP for needed in _columns(matrix, texts, room).values())
        for room in (width, 0)
    )
    # Labels get what they need, within two limits: the room beside the narrowest columns (at least
    # LABEL_LEAST), and half the page, or the room beside the widest columns if that is more.
    label = min(max(labels, default=0) + 2, max(LABEL_LEAST, most), max(width // 2 + 2, least))
    room = width - label
    wide = _columns(matrix, texts, room)
    columns: list[tuple[str, int]] = []
    for guest, needed in wide.items():
        own = min(needed, room - GAP)
        if columns and sum(one + GAP for _, one in columns) + own + GAP > room:
            yield _ColumnGroup(label, tuple(columns))
            columns = []
        columns.append((guest, own))
    if columns:
        yield _ColumnGroup(label, tuple(columns))


def _columns(matrix: Matrix, texts: Mapping[str, list[str]], room: int) -> Mapping[str, int]:
    """Return the widths of the guests' columns: the widest layout that fits into `room`.

    The layouts, from wide to narrow: system and release unbroken, words unbroken, words broken at
    `BREAK`. The last one is used even if it does not fit.
    """
    words = {guest: [*texts.get(guest, []), short(guest)] for guest in matrix.guests}
    generous = {guest: [*found, *_system(matrix, guest)] for guest, found in words.items()}
    pieces = {
        guest: [piece for text in found for piece in BREAK.split(text)]
        for guest, found in words.items()
    }
    for tier in (generous, words):
        wide = _widths(tier)
        if sum(wide.values()) + GAP * len(wide) <= room:
            return wide
    return _widths(pieces)


def _widths(texts: Mapping[str, Sequence[str]]) -> Mapping[str, int]:
    return {guest: max([NARROWEST, *map(cells, found)]) for guest, found in texts.items()}


def _system(matrix: Matrix, guest: str) -> tuple[str, str]:
    name, _, release = system(matrix, guest).partition(" ")
    return short(name), short(release)


def _header(matrix: Matrix, block: _ColumnGroup, page: _Page) -> Iterator[str]:
    lines = [(short(guest), *_system(matrix, guest)) for guest, _ in block.columns]
    for number, style in enumerate(("1", "2", "2")):
        texts = [
            (cut(line[number], width), width)
            for line, (_, width) in zip(lines, block.columns, strict=True)
        ]
        yield " " * block.label + _joined(texts, page, style)


def _joined(texts: Sequence[tuple[str, int]], page: _Page, style: str | None) -> str:
    return "".join(" " * GAP + page.paint(_padded(text, width), style) for text, width in texts)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def _heading(section: GridSection, page: _Page) -> Iterator[str]:
    points = " ".join(value for _, value in section.common)
    first = short(section.title)
    rest = short(": ".join(part for part in (section.sentence, "") if part).removesuffix(": "))
    text = f"{first}  {rest}" + (f" ({short(points)})" if points else "")
    for number, line in enumerate(wrapped(text, page.width)):
        yield line.replace(first, page.paint(first, "1"), 1) if number == 0 else line


def _row(section: GridSection, row: GridRow, block: _ColumnGroup, page: _Page) -> Iterator[str]:
    label = label_lines(short(section.label(row)), block.label - 2)
    columns = []
    for guest, width in block.columns:
        found = row.cells.get(guest, ())
        text = _text(found, page.notes) if found else NOT_ASKED
        style = STYLES.get(found[0].state) if found else None
        faint = shares(found)
        columns.append(
            [_painted(piece, width, style, faint, page) for piece in pieces(text, width)]
        )
    height = max(len(label), *map(len, columns))
    empty = [" " * width for _, width in block.columns]
    for line in range(height):
        head = label[line] if line < len(label) else ""
        texts = "".join(
            " " * GAP + (column[line] if line < len(column) else blank)
            for column, blank in zip(columns, empty, strict=True)
        )
        mark = page.paint(DIFFERENT, "1;33") if row.differs and line == 0 else " "
        yield f"{mark} {_padded(head, block.label - 2)}{texts}"
    if page.verbose:
        yield from _counts(row, block, page)


def _painted(piece: str, width: int, style: str | None, faint: str, page: _Page) -> str:
    """Return a piece of a cell, padded; its share is painted fainter than its word."""
    if not faint or not piece.endswith(faint):
        return page.paint(_padded(piece, width), style)
    head = piece.removesuffix(faint)
    return page.paint(head, style) + page.paint(faint, "2") + " " * (width - cells(piece))


def _counts(row: GridRow, block: _ColumnGroup, page: _Page) -> Iterator[str]:
    for guest, _ in block.columns:
        for cell in row.cells.get(guest, ()):
            numbers = [f"{title(name)} {value}" for name, value in cell.counts.items()]
            numbers += [f"{name} {value:.3g}" for name, value in cell.statistics.items()]
            if numbers:
                where = " ".join(cell.axes.values())
                text = short(f"{guest} {where}: {', '.join(numbers)}")
                yield from wrapped(text, page.width, indent="      ")


def _legend(matrix: Matrix, page: _Page) -> Iterator[str]:
    marks = legend(matrix)
    yield from wrapped(DOT.join(marks), page.width)
    for number, state, why in page.notes:
        yield from wrapped(
            clip(short(f"[{number}] {state}: {why}"), REASON), page.width, indent="    "
        )
