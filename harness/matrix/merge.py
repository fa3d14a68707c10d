"""Merges matrices of several machines: which guests are the same, and where they contradict.

The order of the arguments does not matter: runs are sorted by the start time in each matrix.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, count

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from harness.errors import UsageError
from harness.matrix import SCHEMA, Asking, Entry, Facts, Key, Matrix, MergedRun, Run, encode
from harness.model import Cell, Depth, State, settle, word

Identity = tuple[str, str, str, str]
"""Two guests of one name are the same if these are: system, release, `uname -m`, provider."""

NAME = 60
"""Characters of a guest's new name; the folder of a run allows 64."""

UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
"""Characters that a guest's name cannot contain."""


class Conflict(Struct, frozen=True):
    """A cell that was measured with different words on the same guest."""

    guest: str
    cell: Cell
    words: tuple[str, ...]


class Merged(Struct, frozen=True):
    """The merged matrix, the renamed guests (old name, new name, run), and the conflicts."""

    matrix: Matrix
    renamed: tuple[tuple[str, str, str], ...]
    conflicts: tuple[Conflict, ...]


class _Share(Struct, frozen=True):
    """The part of one run that is about one guest."""

    run: Run
    name: str
    facts: Facts
    cells: tuple[Entry, ...]

    @property
    def came_up(self) -> bool:
        """Whether the guest came up in this run, so that it has a release or an answer."""
        silent = (State.NOT_RUN, State.INFRASTRUCTURE)
        return bool(self.facts.get("release")) or any(
            cell.state not in silent for cell in self.cells
        )

    @property
    def failed(self) -> bool:
        """Whether the run tried to ask the guest, and the infrastructure failed."""
        return any(cell.state is State.INFRASTRUCTURE for cell in self.cells)

    @property
    def identity(self) -> Identity:
        """The guest's identity, as far as this run recorded it."""
        own = self.facts.get("facts")
        machine = own.get("machine") if isinstance(own, Mapping) else None
        system, release, provider = (
            str(self.facts.get(name) or "") for name in ("system", "release", "provider")
        )
        return system, release, str(machine or ""), provider


def merge(matrices: Iterable[Matrix]) -> Merged:
    """Merge matrices; raise `UsageError` if there are none."""
    ordered = _ordered(matrices)
    if not ordered:
        raise UsageError("there is nothing to merge")
    groups: dict[str, dict[Identity, list[_Share]]] = {}
    for share in _shares(ordered):
        groups.setdefault(share.name, {}).setdefault(share.identity, []).append(share)
    guests: dict[str, Facts] = {}
    cells: list[Entry] = []
    renamed: list[tuple[str, str, str]] = []
    conflicts: list[Conflict] = []
    places: list[tuple[_Share, str]] = []
    for name, identities in sorted(groups.items()):
        same = _same(identities)
        for identity, shares in same.items():
            taken = {*groups, *guests}
            new = name if len(same) == 1 else _named(name, identity, same, taken)
            renamed += [(name, new, share.run.id) for share in shares if new != name]
            # A share of an earlier merge already names its run, which must win.
            guests[new] = {"run": shares[-1].run.id, **shares[-1].facts}
            places += [(share, new) for share in shares]
            for entries in _by_cell(shares).values():
                entry, conflict = _settled(new, entries)
                cells.append(_attributed(entry, guests[new]["run"]))
                conflicts += [] if conflict is None else [conflict]
    run = _run(ordered, places)
    return Merged(Matrix(SCHEMA, run, guests, tuple(cells)), tuple(renamed), tuple(conflicts))


def _ordered(matrices: Iterable[Matrix]) -> list[Matrix]:
    """Return the matrices, oldest run first; identical copies are dropped.

    A run that was judged again is no copy, so all its judgements are kept.
    """
    every = list(matrices)
    if len({one.run.id for one in every}) < len(every):
        every = [one for _, one in sorted({encode(one): one for one in every}.items())]
    return sorted(every, key=lambda one: (one.run.started, one.run.id))


def _shares(matrices: Sequence[Matrix]) -> Iterable[_Share]:
    for matrix in matrices:
        for name, cells in matrix.by_guest.items():
            own = tuple(replace(cell, run=matrix.origin(cell)) for cell in cells)
            yield _Share(matrix.run, name, matrix.guests[name], own)


def _same(identities: Mapping[Identity, Sequence[_Share]]) -> dict[Identity, list[_Share]]:
    """Return the shares of one name by identity; the share whose facts count is last.

    A run in which the guest never came up knows only the system in the guest file. If something
    failed there, the share joins the only guest of that system, or becomes a guest of its own. If
    the guest was never asked there, the share is dropped.
    """
    every = [share for shares in identities.values() for share in shares]
    found: dict[Identity, list[_Share]] = {}
    for share in every:
        if share.came_up:
            found.setdefault(share.identity, []).append(share)
    if not found:
        return {every[-1].identity: every}
    known = tuple(found)
    for share in every:
        if share.failed and not share.came_up:
            alike = [identity for identity in known if identity[0] == share.identity[0]]
            home = alike[0] if len(alike) == 1 else share.identity
            found.setdefault(home, []).insert(0, share)
    return dict(sorted(found.items()))


def _named(
    name: str, identity: Identity, same: Collection[Identity], taken: Collection[str]
) -> str:
    """Return a new, unused name: the old one, system, release, and what else is different."""
    alike = [other for other in same if other[:2] == identity[:2]]
    telling = [
        UNFIT.sub("-", part).strip("-")
        for place, part in enumerate(identity)
        if place < 2 or len({other[place] for other in alike}) > 1
    ]
    new = "-".join(part for part in (name, *telling) if part)[:NAME]
    numbered = (f"{new[: NAME - 4]}-{number}" for number in count(2))
    return next(one for one in chain([new], numbered) if one not in taken)


def _by_cell(shares: Iterable[_Share]) -> Mapping[Key, list[Entry]]:
    found: dict[Key, list[Entry]] = {}
    for share in shares:
        for cell in share.cells:
            found.setdefault(cell.key, []).append(cell)
    return found


def _settled(guest: str, entries: Sequence[Entry]) -> tuple[Entry, Conflict | None]:
    """Return the entry of a cell from all runs, oldest first, and the conflict if they disagree.

    The newest measured entry wins. The repeats within a run count, too: if they disagreed, a later
    run with one verdict does not settle the cell.
    """
    measured = [entry for entry in entries if entry.state is State.MEASURED]
    asked = [entry for entry in entries if entry.state is not State.NOT_RUN]
    newest = replace((measured or asked or entries)[-1], guest=guest)
    if len(_words(asked)) < 2:
        return newest, None
    # An entry may occur twice, in a copy of a run or in an earlier merge.
    bare = [replace(entry, run=UNSET) for entry in asked]
    distinct = list({msgspec.json.encode(entry): entry for entry in bare}.values())
    if len(distinct) == 1:
        return newest, None
    repeats = tuple(one for entry in distinct for one in _askings(entry))
    judgement = settle([one.judgement for one in repeats])
    entry = replace(
        newest,
        state=judgement.state,
        verdict=judgement.verdict,
        why=judgement.why,
        counts={},
        statistics={},
        repeats=repeats,
        seconds=round(sum(entry.seconds for entry in distinct), 3),
    )
    return entry, Conflict(guest, entry.cell, _words(distinct))


def _words(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return all verdict words of a cell and its repeats, without duplicates."""
    said: dict[str, None] = {}
    for entry in entries:
        every = (*(one.verdict for one in entry.repeats), entry.verdict)
        said |= {word(one): None for one in every if one is not None}
    return tuple(said)


def _askings(entry: Entry) -> Sequence[Asking]:
    """Return each asking of a cell, or the cell itself if no repeat in the file has its verdict."""
    own = Asking.of(entry.judgement)
    said = {one.verdict for one in entry.repeats}
    return entry.repeats if entry.repeats and own.verdict in {None, *said} else (own,)


def _attributed(entry: Entry, usual: object) -> Entry:
    """Return the entry without its run if that is the one which the guest names."""
    return replace(entry, run=UNSET) if entry.run == usual else entry


def _run(ordered: Sequence[Matrix], places: Iterable[tuple[_Share, str]]) -> Run:
    """Return the run of the merge: full if all runs were, and started when the newest did."""
    runs = [matrix.run for matrix in ordered]
    digest = hashlib.sha256("\n".join(sorted({run.id for run in runs})).encode()).hexdigest()
    full = all(run.catalogue is Depth.FULL for run in runs)
    return Run(
        f"merged-{digest[:12]}",
        runs[-1].started,
        Depth.FULL if full else Depth.QUICK,
        _merged_runs(places),
    )


def _merged_runs(places: Iterable[tuple[_Share, str]]) -> tuple[MergedRun, ...]:
    """Return every run that was merged, now or before, with the guests it adds to."""
    found: dict[str, MergedRun] = {}
    guests: dict[str, dict[str, str]] = {}
    for share, new in places:
        of = share.run.merged or (
            MergedRun(share.run.id, share.run.started, share.run.catalogue, {}),
        )
        for one in of:
            names = [old for old, now in one.guests.items() if now == share.name]
            if share.run.merged and not names:
                continue  # this guest is of another run of that merge
            found.setdefault(one.id, one)
            guests.setdefault(one.id, {}).update(dict.fromkeys(names or [share.name], new))
    ordered = sorted(found.values(), key=lambda one: (one.started, one.id))
    return tuple(replace(one, guests=dict(sorted(guests[one.id].items()))) for one in ordered)
