"""The matrix laid out for people: a section for each scenario, rows merged if words agree."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from harness.matrix import Entry, Key, Matrix
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
    State.NOT_APPLICABLE: "does not apply there",
    State.NOT_RUN: "not run",
    State.INFRASTRUCTURE: "a failure of the harness, not of the kernel",
}

SERVER = "server"
"""The axis that names the server of a cell about one."""

NEAR = 4
"""Rows whose words agree are merged only if their shares, rounded to 1/`NEAR`, agree too."""

DIFFERENT = "\N{NOT EQUAL TO}"
"""The mark of a row on which the verdicts of guests of one system differ."""

NOT_ASKED = "\N{MIDDLE DOT}"
"""What stands where a guest was not asked a cell that another one was asked."""


class GridRow(Struct, frozen=True):
    """Points of the axes at which each guest gave the same word.

    It `differs` if two guests of one system have different words here.
    """

    values: Values
    cells: Mapping[str, tuple[Entry, ...]]
    differs: bool = False

    def label(self, fixed: Iterable[str] = ()) -> str:
        """Return the values in words, without `fixed` axes; axes not in `AXES` show their name."""
        return label(self.values, fixed)


class GridSection(Struct, frozen=True):
    """One scenario: its sentence, its rows, and the axes with the same value in all of them.

    A scenario that is asked about servers has a section for each `server`.
    """

    scenario: str
    sentence: str
    fixed: tuple[tuple[str, str], ...]
    rows: tuple[GridRow, ...]
    server: str = ""

    @property
    def title(self) -> str:
        """The name of the section: the scenario, and the server if it is about one."""
        return f"{self.scenario} {self.server}".rstrip()

    @property
    def common(self) -> tuple[tuple[str, str], ...]:
        """The axes with the same value in all rows, without what the title says."""
        return tuple(pair for pair in self.fixed if pair != (SERVER, self.server))

    def label(self, row: GridRow) -> str:
        """Return the label that tells this row from the others of the section."""
        return row.label([axis for axis, _ in self.fixed])


class Notes:
    """Footnotes: each reason once, numbered in order of first use."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[State, str], int] = {}

    def numbers(self, cells: Sequence[Entry]) -> tuple[int, ...]:
        """Return the numbers of the reasons of these cells, without duplicates."""
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
    """Return the meaning of each mark that occurs in the matrix."""
    states = {cell.state for cell in matrix.cells}
    said = ["A word is a verdict"]
    if any(figure(cell) is not None for cell in matrix.cells):
        said.append("% is the share of the flows that could be affected")
    if len(matrix.guests) > 1:
        several = len({*_systems(matrix).values()}) > 1
        said.append(f"{DIFFERENT} {'guests of one system' if several else 'the guests'} differ")
    if blanks(matrix):
        said.append(f"{NOT_ASKED} not asked")
    return (*said, *(f"{MARKS[one]} {MEANINGS[one]}" for one in MEANINGS if one in states))


def blanks(matrix: Matrix) -> bool:
    """Whether a cell of one guest was not asked of another, as in a merge of other catalogues."""
    asked: dict[Key, int] = {}
    for cell in matrix.cells:
        asked[cell.key] = asked.get(cell.key, 0) + 1
    return any(count < len(matrix.guests) for count in asked.values())


def _systems(matrix: Matrix) -> Mapping[str, str]:
    return {name: str(facts.get("system") or "") for name, facts in matrix.guests.items()}


def sections(matrix: Matrix) -> tuple[GridSection, ...]:
    """Return the sections of a matrix in catalogue order; unknown scenarios come last.

    In each, the rows that were asked of most guests come first.
    """
    systems = _systems(matrix)
    by_subject: dict[tuple[str, str], dict[Point, dict[str, Entry]]] = {}
    for cell in matrix.cells:
        points = by_subject.setdefault((cell.scenario, cell.axes.get(SERVER, "")), {})
        points.setdefault(tuple(cell.axes.items()), {})[cell.guest] = cell
    order = {name: index for index, name in enumerate(CATALOGUE)}
    subjects = sorted(by_subject, key=lambda subject: order.get(subject[0], len(order)))
    return tuple(_section(*subject, by_subject[subject], systems) for subject in subjects)


def _section(
    name: str, server: str, points: Mapping[Point, Mapping[str, Entry]], systems: Mapping[str, str]
) -> GridSection:
    cells = list(points.values())
    rows = [
        GridRow(
            fold.values,
            {guest: tuple(cells[at][guest] for at in fold.members) for guest in cells[fold.first]},
            _differs(cells[fold.first], systems),
        )
        for fold in folded(zip(points, map(_words, cells), strict=True))
    ]
    rows.sort(key=lambda row: -len(row.cells))  # stable: the order of the catalogue stays
    axes = dict.fromkeys(axis for point in points for axis, _ in point)
    values = {axis: {dict(point).get(axis) for point in points} for axis in axes}
    single = {axis: found.pop() for axis, found in values.items() if len(found) == 1}
    fixed = tuple((axis, value) for axis, value in single.items() if value is not None)
    known = CATALOGUE.get(name)
    return GridSection(name, known.sentence if known else "", fixed, tuple(rows), server)


def _differs(cells: Mapping[str, Entry], systems: Mapping[str, str]) -> bool:
    """Return whether guests of one system have different words."""
    words: dict[str, set[str]] = {}
    for guest, cell in cells.items():
        if cell.verdict is not None:
            words.setdefault(systems[guest], set()).add(word(cell.verdict))
    return any(len(said) > 1 for said in words.values())


def _words(cells: Mapping[str, Entry]) -> tuple[object, ...]:
    return tuple(
        (guest, cell.state, word(cell.verdict or ""), roughly(figure(cell)))
        for guest, cell in sorted(cells.items())
    )


def roughly(value: float | None) -> int | None:
    """Return a share rounded to 1/`NEAR`: rows that agree in it may be merged."""
    return None if value is None else round(value * NEAR)


def figure(cell: Entry) -> float | None:
    """Return the share shown beside a cell's word: the part of the flows it applies to, or None."""
    if cell.verdict is None:
        return None
    scenario = CATALOGUE.get(cell.scenario)
    found = share(cell.verdict)
    return cell.statistics.get(scenario.figure) if found is None and scenario else found


def shares(cells: Iterable[Entry]) -> str:
    """Return the range of the cells' shares in percent; empty if they have none."""
    found = [value for value in map(figure, cells) if value is not None]
    if not found:
        return ""
    least, most = percent(min(found)), percent(max(found))
    return f"{least}%" if least == most else f"{least}–{most}%"  # noqa: RUF001 - from, to


def percent(value: float) -> str:
    """Return a share in percent, rounded, but not to 0 or 100 unless it is exactly that."""
    if 0 < value < 0.01:
        return "<1"
    return ">99" if 0.99 < value < 1 else f"{value * 100:.0f}"
