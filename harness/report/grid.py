"""The matrix laid out for people: a section for each scenario, rows merged where words agree."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from harness.matrix import Entry, Matrix
from harness.model import State, share, word
from harness.report.fold import Point, Values, folded, label
from harness.scenarios import CATALOGUE

MARKS = {
    State.MEASURED: "",
    State.INCONCLUSIVE: "~",
    State.NOT_APPLICABLE: "–",  # noqa: RUF001 - a dash, on purpose
    State.NOT_RUN: "?",
    State.INFRASTRUCTURE: "!",
}

MEANINGS = {
    State.INCONCLUSIVE: "inconclusive",
    State.NOT_APPLICABLE: "cannot be asked there",
    State.NOT_RUN: "not run",
    State.INFRASTRUCTURE: "our own failure, says nothing about the kernel",
}

NEAR = 4
"""Rows whose words agree are merged if their shares do to the next one part in so many."""

DIFFERENT = "\N{NOT EQUAL TO}"
"""Before a row on which the guests' verdicts do not agree."""


class GridRow(Struct, frozen=True):
    """Points of the axes at which each guest gave one and the same word."""

    values: Values
    cells: Mapping[str, tuple[Entry, ...]]

    @property
    def differs(self) -> bool:
        """Whether two guests' verdicts are different words here."""
        verdicts = [cells[0].verdict for cells in self.cells.values()]
        return len({word(verdict) for verdict in verdicts if verdict is not None}) > 1

    def label(self, fixed: Iterable[str] = ()) -> str:
        """Return the values in words; axes beyond the design's five say their name."""
        return label(self.values, fixed)


class GridSection(Struct, frozen=True):
    """One scenario: its sentence, the axes that have one value throughout, its rows."""

    scenario: str
    sentence: str
    fixed: tuple[tuple[str, str], ...]
    rows: tuple[GridRow, ...]

    def label(self, row: GridRow) -> str:
        """Return what tells a row from the section's others."""
        return row.label([axis for axis, _ in self.fixed])


class Notes:
    """Footnotes: every reason once, numbered as they are first met."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[State, str], int] = {}

    def numbers(self, cells: Sequence[Entry]) -> tuple[int, ...]:
        """Return the numbers of the reasons of these cells, without repetition."""
        found = [
            self._numbers.setdefault((cell.state, cell.why), len(self._numbers) + 1)
            for cell in cells
            if cell.why is not None
        ]
        return tuple(dict.fromkeys(found))

    def __iter__(self) -> Iterator[tuple[int, State, str]]:
        """Yield number, state and reason, in order."""
        return ((number, state, why) for (state, why), number in self._numbers.items())


def legend(matrix: Matrix) -> tuple[str, ...]:
    """Return what the marks in a matrix mean, those that are in it."""
    states = {cell.state for cell in matrix.cells}
    said = ["A word is a verdict"]
    if any(figure(cell) is not None for cell in matrix.cells):
        said.append("% is of the flows that could be hit")
    if len(matrix.guests) > 1:
        said.append(f"{DIFFERENT} the guests differ")
    return (*said, *(f"{MARKS[one]} {MEANINGS[one]}" for one in MEANINGS if one in states))


def sections(matrix: Matrix) -> tuple[GridSection, ...]:
    """Lay a matrix out, scenarios in the order of the catalogue and strangers last."""
    by_scenario: dict[str, dict[Point, dict[str, Entry]]] = {}
    for cell in matrix.cells:
        points = by_scenario.setdefault(cell.scenario, {})
        points.setdefault(tuple(cell.axes.items()), {})[cell.guest] = cell
    order = {name: index for index, name in enumerate(CATALOGUE)}
    names = sorted(by_scenario, key=lambda name: order.get(name, len(order)))
    return tuple(_section(name, by_scenario[name]) for name in names)


def _section(name: str, points: Mapping[Point, Mapping[str, Entry]]) -> GridSection:
    cells = list(points.values())
    rows = [
        GridRow(
            fold.values,
            {guest: tuple(cells[at][guest] for at in fold.members) for guest in cells[fold.first]},
        )
        for fold in folded(zip(points, map(_words, cells), strict=True))
    ]
    axes = dict.fromkeys(axis for point in points for axis, _ in point)
    values = {axis: {dict(point).get(axis) for point in points} for axis in axes}
    single = {axis: found.pop() for axis, found in values.items() if len(found) == 1}
    fixed = tuple((axis, value) for axis, value in single.items() if value is not None)
    known = CATALOGUE.get(name)
    return GridSection(name, known.sentence if known else "", fixed, tuple(rows))


def _words(cells: Mapping[str, Entry]) -> tuple[object, ...]:
    return tuple(
        (guest, cell.state, word(cell.verdict or ""), roughly(figure(cell)))
        for guest, cell in sorted(cells.items())
    )


def roughly(value: float | None) -> int | None:
    """Return what two shares have in common that are not worth a line each."""
    return None if value is None else round(value * NEAR)


def figure(cell: Entry) -> float | None:
    """Return the share that goes with a cell's word: how much of all it befell, if it says so."""
    if cell.verdict is None:
        return None
    scenario = CATALOGUE.get(cell.scenario)
    found = share(cell.verdict)
    return cell.statistics.get(scenario.figure) if found is None and scenario else found


def shares(cells: Iterable[Entry]) -> str:
    """Return the shares of a row's cells in percent, from the least to the most; may be empty."""
    found = [value for value in map(figure, cells) if value is not None]
    if not found:
        return ""
    least, most = percent(min(found)), percent(max(found))
    return f"{least}%" if least == most else f"{least}–{most}%"  # noqa: RUF001 - from, to


def percent(value: float) -> str:
    """Return a share in percent, rounded, but never to nothing or to all what is not."""
    if 0 < value < 0.01:
        return "<1"
    return ">99" if 0.99 < value < 1 else f"{value * 100:.0f}"
