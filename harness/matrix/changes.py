"""What changed between two runs, or in one run from each release of a system to the next.

A verdict changed only if the cell was measured both times and the words differ. A cell that lost
its verdict, or got its first one, is no evidence that the kernel changed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import pairwise

from msgspec import Struct

from harness.matrix import Entry, Key, Matrix, Value
from harness.matrix.evidence import Witness, numbers, release_order
from harness.model import State, word
from harness.scenarios import CATALOGUE
from harness.scenarios.statistics import ALPHA_OTHER, p_one_share


class Kind(StrEnum):
    """How a cell changed, most important first; only `changed` means another verdict."""

    CHANGED = "changed"
    SHARE = "share"
    UNMEASURED = "unmeasured"
    MEASURED = "measured"
    OTHERWISE = "otherwise"
    APPEARED = "appeared"
    GONE = "gone"


class CellChange(Struct, frozen=True):
    """A cell that changed; a side is None if the cell was not asked there.

    `p` is set for a share: the chance that one true share gives two shares this far apart.
    """

    kind: Kind
    old: Entry | None
    new: Entry | None
    p: float | None = None

    @property
    def entry(self) -> Entry:
        """Either side, to read what both have in common."""
        found = self.new or self.old
        if found is None:
            raise ValueError("a change of nothing")
        return found


class Setting(Struct, frozen=True):
    """A tunable that was read both times and differs; None if the guest does not have it."""

    name: str
    old: Value
    new: Value


class Pair(Struct, frozen=True):
    """A guest before and after: its changes, and how many cells were measured both times."""

    old: Witness
    new: Witness
    settings: tuple[Setting, ...]
    measured: int
    changes: tuple[CellChange, ...]


class Comparison(Struct, frozen=True):
    """Pairs of guests, and the guests that are on one side only, with their number of cells."""

    pairs: tuple[Pair, ...]
    gone: Mapping[str, int]
    appeared: Mapping[str, int]

    @property
    def measured(self) -> int:
        """How many cells were measured both times; if 0, nothing was compared."""
        return sum(pair.measured for pair in self.pairs)

    def count(self, kind: Kind) -> int:
        """Return how many cells changed in this way."""
        return sum(change.kind is kind for pair in self.pairs for change in pair.changes)


class _Side(Struct, frozen=True):
    witness: Witness
    cells: Mapping[Key, Entry]

    @property
    def measured(self) -> int:
        """How many of its cells were measured."""
        return sum(cell.state is State.MEASURED for cell in self.cells.values())


def compare(old: Matrix, new: Matrix) -> Comparison:
    """Compare two runs; guests are paired by name."""
    before, now = _sides(old), _sides(new)
    return Comparison(
        _pairs([(before[name], side) for name, side in now.items() if name in before]),
        {name: len(side.cells) for name, side in before.items() if name not in now},
        {name: len(side.cells) for name, side in now.items() if name not in before},
    )


def compare_guests(old: Matrix, new: Matrix) -> Comparison:
    """Compare the only guest of one matrix with the only guest of another, whatever their names."""
    (before,), (now,) = _sides(old).values(), _sides(new).values()
    return Comparison(_pairs([(before, now)]), {}, {})


def releases(matrix: Matrix) -> Comparison:
    """Compare each release of a system with the next one measured in the same run.

    If several guests have the same release, the one with the most measured cells is compared.
    """
    systems: dict[str, dict[str, _Side]] = {}
    for side in sorted(_sides(matrix).values(), key=lambda side: -side.measured):
        if side.measured and numbers(side.witness.release):
            found = systems.setdefault(side.witness.system, {})
            found.setdefault(side.witness.release or "", side)
    couples: list[tuple[_Side, _Side]] = []
    for _, found in sorted(systems.items()):
        ordered = [found[release] for release in sorted(found, key=release_order)]
        couples += pairwise(ordered)
    return Comparison(_pairs(couples), {}, {})


def _sides(matrix: Matrix) -> dict[str, _Side]:
    return {
        name: _Side(
            Witness.of(matrix.run.id, name, matrix.guests[name]),
            {entry.key: entry for entry in entries},
        )
        for name, entries in matrix.by_guest.items()
    }


def _pairs(couples: Iterable[tuple[_Side, _Side]]) -> tuple[Pair, ...]:
    """Compare each couple; shares count as different only after a Bonferroni correction.

    The correction covers all shares of all couples, because each is one more chance of an error.
    """
    found = [(old, new, tuple(_changes(old.cells, new.cells))) for old, new in couples]
    tests = sum(change.kind is Kind.SHARE for _, _, changes in found for change in changes)
    return tuple(
        Pair(
            old.witness,
            new.witness,
            _settings(old.witness, new.witness),
            _both(old.cells, new.cells),
            tuple(one for one in changes if one.p is None or one.p * tests <= ALPHA_OTHER),
        )
        for old, new, changes in found
    )


def _both(old: Mapping[Key, Entry], new: Mapping[Key, Entry]) -> int:
    measured = State.MEASURED
    return sum(old[key].state is new[key].state is measured for key in old.keys() & new.keys())


def _changes(old: Mapping[Key, Entry], new: Mapping[Key, Entry]) -> Iterator[CellChange]:
    """Yield the changes, and each share that can be tested with its p-value."""
    for key, entry in new.items():
        if key not in old:
            yield CellChange(Kind.APPEARED, None, entry)
        elif (kind := _kind(old[key], entry)) is not None:
            yield CellChange(kind, old[key], entry)
        elif (p := p_same_share(old[key], entry)) is not None:
            yield CellChange(Kind.SHARE, old[key], entry, p)
    for key, entry in old.items():
        if key not in new:
            yield CellChange(Kind.GONE, entry, None)


def _kind(old: Entry, new: Entry) -> Kind | None:
    if old.verdict is not None and new.verdict is not None:
        return None if word(old.verdict) == word(new.verdict) else Kind.CHANGED
    if old.state is new.state:
        return None
    if old.verdict is not None:
        return Kind.UNMEASURED
    return Kind.MEASURED if new.verdict is not None else Kind.OTHERWISE


def p_same_share(old: Entry, new: Entry) -> float | None:
    """Return the p-value for both having the same true share; None if the cell has no draws."""
    scenario = CATALOGUE.get(new.scenario)
    if scenario is None or scenario.drawn is None or new.verdict is None:
        return None
    drawn = [_drawn(entry.counts, scenario.drawn) for entry in (old, new)]
    one, other = drawn
    return p_one_share(*one, *other) if one and other else None


def _drawn(counts: Mapping[str, int], names: Sequence[str]) -> tuple[int, int] | None:
    """Return the two counts; None if a file lacks them or they make no sense together."""
    part, whole = (counts.get(name, -1) for name in names)
    return (part, whole) if 0 <= part <= whole > 0 else None


def _settings(old: Witness, new: Witness) -> tuple[Setting, ...]:
    return tuple(
        Setting(name, old.settings[name], new.settings[name])
        for name in sorted(old.settings.keys() & new.settings.keys())
        if old.settings[name] != new.settings[name]
    )
