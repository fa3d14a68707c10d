"""How each cell did over many runs: how often its word came, and if it is flaky or stale.

Ages count back from the newest run, not from today, so the same runs always give the same result.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct

from harness.model import Cell, State

WINDOW = 30
"""How many of the newest runs count: a month of nights."""

FLICKERS = 2
"""A cell is flaky from this many changes of word on one kernel release. One change may have a
lasting cause; a second one undoes it or is yet another."""


class Visit(Struct, frozen=True, gc=False):
    """A cell's result in one run; `word` is its verdict without the count, if it has one.

    `origin` is set in a merge: the id of the run that measured the cell.
    """

    release: str | None
    state: State
    word: str | None
    origin: str | None = None


class PastRun(Struct, frozen=True):
    """A run and its results, by guest and cell."""

    id: str
    started: str
    visits: Mapping[tuple[str, Cell], Visit]


class Stability(StrEnum):
    """How stable a cell is, most important first."""

    FLAKY = "flaky"
    CHANGED = "changed"
    STALE = "stale"
    NEW = "new"
    STEADY = "steady"
    NEVER = "never-measured"


class Track(Struct, frozen=True):
    """A cell over the runs: it was measured in `n` runs, and `k` of them gave its last `word`.

    `changes` counts changes of word on one release. `before` is the word before the last measured
    one. `runs_ago` and `days_ago` are the age of the last measurement: 0 for the newest run, None
    if there is none. `state` is from the newest run; None if that run does not have the cell.
    """

    guest: str
    cell: Cell
    standing: Stability
    word: str | None
    before: str | None
    k: int
    n: int
    changes: int
    runs_ago: int | None
    days_ago: int | None
    state: State | None


class History(Struct, frozen=True):
    """Runs (id and start), oldest first, and every cell of any of them."""

    runs: tuple[tuple[str, str], ...]
    tracks: tuple[Track, ...]

    def of(self, standing: Stability) -> tuple[Track, ...]:
        """Return the cells with this stability."""
        return tuple(track for track in self.tracks if track.standing is standing)


def history(nights: Iterable[PastRun], last: int = WINDOW) -> History:
    """Return the history of the newest `last` runs.

    A run given twice counts once, also if a merge contains it: what another one has measured is
    left out of the merge, and nothing is left of a merge whose runs are all there.
    """
    known = {night.id: night for night in nights}
    ordered = sorted(known.values(), key=lambda night: (night.started, night.id))
    ordered = _once(ordered)[-last:]
    visits: dict[tuple[str, Cell], list[tuple[int, Visit]]] = {}
    for number, night in enumerate(ordered):
        for key, visit in night.visits.items():
            visits.setdefault(key, []).append((number, visit))
    tracks = (_track(key, visits[key], ordered) for key in sorted(visits, key=_place))
    return History(tuple((night.id, night.started) for night in ordered), tuple(tracks))


def _once(ordered: Iterable[PastRun]) -> list[PastRun]:
    """Return the runs without the results that another run, or an older merge, already has."""
    every = list(ordered)
    own = {night.id for night in every}
    seen: set[tuple[str, str, Cell]] = set()
    found = []
    for night in every:
        if all(visit.origin is None for visit in night.visits.values()):
            found.append(night)  # no merge: it is what it says
            continue
        visits = {}
        for (guest, cell), visit in night.visits.items():
            if visit.origin is not None:
                copy = (visit.origin, guest, cell)
                if visit.origin in own - {night.id} or copy in seen:
                    continue
                seen.add(copy)
            visits[guest, cell] = visit
        if visits:
            found.append(PastRun(night.id, night.started, visits))
    return found


def _place(key: tuple[str, Cell]) -> tuple[object, ...]:
    """Return the sort key of a cell, which does not depend on the order of runs and files."""
    guest, cell = key
    return guest, cell.scenario, cell.points


def _track(
    key: tuple[str, Cell], visits: Sequence[tuple[int, Visit]], nights: Sequence[PastRun]
) -> Track:
    measured = [(number, visit) for number, visit in visits if visit.word is not None]
    words = [visit.word for _, visit in measured]
    word = words[-1] if words else None
    before = words[-2] if len(words) > 1 else None
    newest = len(nights) - 1
    ago = newest - measured[-1][0] if measured else None
    changes = _changes([visit for _, visit in measured])
    return Track(
        guest=key[0],
        cell=key[1],
        standing=_standing(word, before, ago, changes, first=len(nights) > 1 and len(visits) == 1),
        word=word,
        before=before,
        k=words.count(word) if word is not None else 0,
        n=len(words),
        changes=changes,
        runs_ago=ago,
        days_ago=None if ago is None else _days(nights[newest - ago].started, nights[-1].started),
        state=visits[-1][1].state if visits[-1][0] == newest else None,
    )


def _changes(measured: Sequence[Visit]) -> int:
    """Count the changes of word within each release; a new kernel may differ."""
    last: dict[str | None, str | None] = {}
    changes = 0
    for visit in measured:
        changes += visit.release in last and last[visit.release] != visit.word
        last[visit.release] = visit.word
    return changes


def _standing(
    word: str | None, before: str | None, ago: int | None, changes: int, *, first: bool
) -> Stability:
    if word is None:
        return Stability.NEVER
    if changes >= FLICKERS:
        return Stability.FLAKY
    if ago:
        return Stability.STALE
    if before is not None and before != word:
        return Stability.CHANGED
    return Stability.NEW if first else Stability.STEADY


def _days(then: str, now: str) -> int | None:
    """Return the whole days between two times in ISO 8601; None if one is invalid."""
    try:
        times = [datetime.fromisoformat(one) for one in (then, now)]
    except ValueError:
        return None
    # A time without a zone is UTC, as all times in a matrix are.
    first, last = (one if one.tzinfo else one.replace(tzinfo=UTC) for one in times)
    return (last - first).days
