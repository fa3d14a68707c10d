"""Changed cells in few lines: cells that changed alike on the same guests share a line."""

from collections.abc import Hashable, Sequence

from msgspec import Struct

from harness.matrix import Entry
from harness.matrix.changes import CellChange, Kind, Pair
from harness.model import TUNABLES, State, word
from harness.report.fold import Point, folded, label
from harness.report.grid import figure, roughly, shares
from harness.scenarios import CATALOGUE
from harness.text import clip

ASKED_ONCE = (Kind.APPEARED, Kind.GONE)
"""Kinds that come from different catalogues, not from a kernel. They are shown without a verdict,
and only counted if they would need more than one line."""

FEW = 2
"""Up to this many guests are named even if they are all guests."""

REASON = 200
"""Columns of a reason; matrix.json has all of it."""

ARROW = " \N{RIGHTWARDS ARROW} "


class ChangeGroup(Struct, frozen=True):
    """Cells of a scenario that changed alike on the same guests.

    `change` is the old and the new state, empty if the cells were asked only once.
    """

    kind: Kind
    scenario: str
    where: str
    change: str
    cells: int

    @property
    def text(self) -> str:
        """Return the change, the cells and their number in words."""
        said = ": ".join(part for part in (self.change, self.where) if part)
        if not said:
            return f"{self.cells} cells"
        return f"{said} ({self.cells} cells)" if self.cells > 1 else said


def sayings(pairs: Sequence[Pair]) -> tuple[ChangeGroup, ...]:
    """Return the changes of all pairs, folded; guests are named if there are several pairs."""
    groups: dict[tuple[Kind, str], dict[tuple[Point, Hashable], list[tuple[str, CellChange]]]] = {}
    for pair in pairs:
        for change in pair.changes:
            points = groups.setdefault((change.kind, change.entry.scenario), {})
            point = (change.entry.cell.points, _key(change))
            points.setdefault(point, []).append((pair.new.guest, change))
    found: list[ChangeGroup] = []
    for (kind, scenario), points in sorted(groups.items(), key=lambda group: _order(*group[0])):
        some = _folded(kind, scenario, points, len(pairs))
        if kind in ASKED_ONCE and len(some) > 1:
            some = [ChangeGroup(kind, scenario, "", "", sum(one.cells for one in some))]
        found += some
    return tuple(found)


def _order(kind: Kind, scenario: str) -> tuple[int, int, str]:
    known = list(CATALOGUE)
    place = known.index(scenario) if scenario in CATALOGUE else len(known)
    return list(Kind).index(kind), place, scenario


def _key(change: CellChange) -> Hashable:
    """Return a key that is equal for changes that may share a line."""
    if change.kind in ASKED_ONCE:
        return None
    shares_too = change.kind is Kind.SHARE
    return tuple(
        (entry.state, word(entry.verdict or ""), roughly(figure(entry)) if shares_too else None)
        for entry in (change.old, change.new)
        if entry is not None
    )


def _folded(
    kind: Kind,
    scenario: str,
    points: dict[tuple[Point, Hashable], list[tuple[str, CellChange]]],
    of: int,
) -> list[ChangeGroup]:
    members = list(points.values())
    keys = [(key, tuple(guest for guest, _ in points[point, key])) for point, key in points]
    found = []
    for fold in folded(zip((point for point, _ in points), keys, strict=True)):
        changes = [change for at in fold.members for _, change in members[at]]
        guests = _guests(keys[fold.first][1], of)
        where = ", ".join(part for part in (guests, label(fold.values)) if part)
        found.append(ChangeGroup(kind, scenario, where, _change(kind, changes), len(changes)))
    return found


def _guests(names: Sequence[str], of: int) -> str:
    if of == 1:
        return ""
    return f"all {of} guests" if len(names) == of > FEW else " ".join(names)


def _change(kind: Kind, changes: Sequence[CellChange]) -> str:
    if kind in ASKED_ONCE:
        return ""
    old = [change.old for change in changes if change.old is not None]
    new = [change.new for change in changes if change.new is not None]
    text = f"{_said(old)}{ARROW}{_said(new)}"
    if kind is Kind.SHARE:
        p = max(change.p or 0.0 for change in changes)
        return f"{text} (p {'≤ ' if len(changes) > 1 else '= '}{p:.1g})"
    whys = list(dict.fromkeys(entry.why for entry in new if entry.why is not None))
    more = f", and {len(whys) - 1} other reasons" if len(whys) > 1 else ""
    return f"{text} ({clip(whys[0], REASON)}{more})" if whys else text


def _said(entries: Sequence[Entry]) -> str:
    first = entries[0]
    if first.state is not State.MEASURED:
        return first.state
    return f"{word(first.verdict or '')} {shares(entries)}".rstrip()


def in_words(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Return a sentence for each change of a verdict, with the settings it was asked with.

    Sentences are equal for cells that changed alike, and are there once. The words in it are of
    guests, so the caller must make them safe to show.
    """
    found: dict[str, None] = {}
    for pair in pairs:
        for change in pair.changes:
            if change.kind is Kind.CHANGED and change.old is not None and change.new is not None:
                found[_sentence(change.old, change.new)] = None
    return tuple(found)


def _sentence(old: Entry, new: Entry) -> str:
    """Return what happens now instead of before: `with SETTING, who: new instead of old`."""
    known = CATALOGUE.get(new.scenario)
    subject = (known.subject if known is not None else "") or new.scenario
    setting = new.axes.get(TUNABLES)
    where = "" if setting is None else f"with {setting}, "
    before, now = (word(one.verdict or "") for one in (old, new))
    return f"{where}{subject}: {now} instead of {before}"
