"""The matrix laid out for people: a section for each scenario, rows merged where words agree."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from harness.matrix import Entry, Matrix
from harness.model import AXES, State
from harness.scenarios import CATALOGUE

MERGED = ("family", "bind", "protocol", "failure")
"""The axes along which rows are merged first; the others follow in the order of their names."""

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

Values = tuple[tuple[str, tuple[str, ...]], ...]
"""Axis to the values that a row stands for; the row is their product, no more and no less."""


class Row(Struct, frozen=True):
    """Points of the axes at which every guest gave one and the same word."""

    values: Values
    cells: Mapping[str, tuple[Entry, ...]]

    def label(self, fixed: Iterable[str] = ()) -> str:
        """Return the values in words; axes beyond the design's five say their name."""
        parts = []
        for axis, values in self.values:
            if axis not in fixed:
                name = "" if axis in AXES else f"{axis} "
                parts.append(name + " ".join(values))
        return " · ".join(parts) or "all"


class Section(Struct, frozen=True):
    """One scenario: its sentence, the axes that have one value throughout, its rows."""

    scenario: str
    sentence: str
    fixed: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]

    def label(self, row: Row) -> str:
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


def sections(matrix: Matrix) -> tuple[Section, ...]:
    """Lay a matrix out, scenarios in the order of the catalogue and strangers last."""
    by_scenario: dict[str, dict[tuple[tuple[str, str], ...], dict[str, Entry]]] = {}
    for cell in matrix.cells:
        points = by_scenario.setdefault(cell.scenario, {})
        points.setdefault(tuple(cell.axes.items()), {})[cell.guest] = cell
    order = {name: index for index, name in enumerate(CATALOGUE)}
    names = sorted(by_scenario, key=lambda name: order.get(name, len(order)))
    return tuple(_section(name, by_scenario[name]) for name in names)


def _section(
    name: str, points: Mapping[tuple[tuple[str, str], ...], Mapping[str, Entry]]
) -> Section:
    rows = [
        Row(
            tuple((axis, (value,)) for axis, value in point),
            {guest: (cell,) for guest, cell in cells.items()},
        )
        for point, cells in points.items()
    ]
    axes = list(dict.fromkeys(axis for point in points for axis, _ in point))
    for axis in sorted(axes, key=lambda axis: (_rank(axis), axis)):
        rows = _merged(rows, axis)
    values = {axis: {dict(point).get(axis) for point in points} for axis in axes}
    single = {axis: found.pop() for axis, found in values.items() if len(found) == 1}
    fixed = tuple((axis, value) for axis, value in single.items() if value is not None)
    known = CATALOGUE.get(name)
    return Section(name, known.sentence if known else "", fixed, tuple(rows))


def _rank(axis: str) -> int:
    return MERGED.index(axis) if axis in MERGED else len(MERGED)


def _merged(rows: Sequence[Row], axis: str) -> list[Row]:
    """Merge the rows that differ in this axis only and say the same everywhere."""
    merged: dict[object, Row] = {}
    for row in rows:
        others = tuple(pair for pair in row.values if pair[0] != axis)
        key = (others, _words(row), axis in dict(row.values))
        merged[key] = _joined(merged[key], row, axis) if key in merged else row
    return list(merged.values())


def _words(row: Row) -> tuple[tuple[str, State, str | None], ...]:
    return tuple(
        (guest, cells[0].state, cells[0].verdict) for guest, cells in sorted(row.cells.items())
    )


def _joined(one: Row, other: Row, axis: str) -> Row:
    more = dict(other.values).get(axis, ())
    values = tuple(
        (name, (*own, *(value for value in more if value not in own)) if name == axis else own)
        for name, own in one.values
    )
    return Row(values, {guest: cells + other.cells[guest] for guest, cells in one.cells.items()})
