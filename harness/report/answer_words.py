"""The words of one answer: how good each is, its cells, and where it holds if there are several."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from msgspec import Struct
from msgspec.structs import replace

from harness.matrix import Entry
from harness.model import word
from harness.report.fold import Point, Values, folded, label
from harness.scenarios import CATALOGUE
from harness.scenarios.sense import Grade

MOST_AXES = 2
"""How many axes may decide between the words of an answer and still be named."""

MOST_FOLDS = 2
"""How many places of a word are named; a longer list would hide what it is about."""


OTHERWISE = "otherwise"
"""Where a word holds whose cells have none of the deciding axes."""

NAMES = {"position": "bound", "member": "leaver", "source": "from"}
"""Axes by the names that fit behind a word."""


class AnswerWord(Struct, frozen=True):
    """A verdict word, its grade and its cells.

    `where` says at which values of the deciding axes it holds: empty if it is the only word, or if
    no axis decides.
    """

    word: str
    grade: Grade
    cells: tuple[Entry, ...]
    where: str = ""


def head(cell: Entry) -> str:
    """Return the verdict of a cell without count and errno; empty if it has none."""
    return word(cell.verdict or "").partition(":")[0]


def spoken(words: Iterable[str], cells: Sequence[Entry]) -> tuple[AnswerWord, ...]:
    """Return the words of an answer, the one with most cells first."""
    found = []
    for one in words:
        own = tuple(cell for cell in cells if head(cell) == one)
        known = CATALOGUE[own[0].scenario]
        own = tuple(cell for cell in own if not known.moot(cell.judgement))
        found.append(AnswerWord(one, known.words[one].grade, own))
    found.sort(key=lambda one: (-len(one.cells), one.word))
    axes = depends_on(found)
    return (
        tuple(replace(one, where=_where(one, axes, found)) for one in found)
        if axes
        else tuple(found)
    )


def depends_on(said: Sequence[AnswerWord]) -> tuple[str, ...]:
    """Return the axes whose values decide between the words; empty if few axes do not."""
    cells = [(cell.axes, one.word) for one in said for cell in one.cells]
    values: dict[str, set[str | None]] = {}
    for axes, _ in cells:
        for name in axes:
            values.setdefault(name, {other.get(name) for other, _ in cells})
    varying = [name for name, found in values.items() if len(found) > 1]
    if len(said) > 1:
        for count in range(1, MOST_AXES + 1):
            for chosen in combinations(varying, count):
                by_point: dict[tuple[str | None, ...], set[str]] = {}
                for axes, one in cells:
                    by_point.setdefault(tuple(map(axes.get, chosen)), set()).add(one)
                if all(len(words) == 1 for words in by_point.values()):
                    return chosen
    return ()


def _where(one: AnswerWord, axes: Sequence[str], every: Iterable[AnswerWord]) -> str:
    """Return the places of a word; an axis of which a place has all values is not named."""
    values = {name: {cell.axes.get(name) for some in every for cell in some.cells} for name in axes}
    points: dict[Point, None] = {}
    for cell in one.cells:
        points[tuple((name, cell.axes[name]) for name in axes if name in cell.axes)] = None
    folds = folded((point, None) for point in points)
    if len(folds) > MOST_FOLDS:
        return ""
    return "; ".join(sorted((_place(fold.values, values) for fold in folds), key=len))


def _place(some: Values, every: Mapping[str, set[str | None]]) -> str:
    """Return the values of the deciding axes in words; an axis with all its values says nothing."""
    if not some:
        return OTHERWISE
    return label(
        tuple((NAMES.get(name, name), chosen) for name, chosen in some),
        [NAMES.get(name, name) for name, chosen in some if {*chosen} == every[name]],
    )
