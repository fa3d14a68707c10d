"""Matrices of several machines as one: whose guests are the same, and where they contradict.

The order in which they are given changes nothing: older runs come first, by their own word.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from harness.errors import UsageError
from harness.matrix import SCHEMA, Asking, Entry, Facts, Key, Matrix, Run
from harness.model import Depth, State, settle

Identity = tuple[str, str, str]
"""What makes two guests of one name the same: system, release, provider."""

UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
"""What a guest's name cannot have in it."""


class Conflict(Struct, frozen=True):
    """A cell that was measured with different words on what is the same guest."""

    guest: str
    cell: str
    words: tuple[str, ...]


class Merged(Struct, frozen=True):
    """One matrix; guests that got another name (old, new, run); and where runs contradict."""

    matrix: Matrix
    renamed: tuple[tuple[str, str, str], ...]
    conflicts: tuple[Conflict, ...]


class _Share(Struct, frozen=True):
    """What one run has of a guest."""

    run: Run
    name: str
    facts: Facts
    cells: tuple[Entry, ...]

    @property
    def answered(self) -> bool:
        """Whether anything was asked of it there."""
        return any(cell.state is not State.NOT_RUN for cell in self.cells)

    @property
    def identity(self) -> Identity:
        """What the guest is, as far as the run knows."""
        system, release, provider = (
            str(self.facts.get(name) or "") for name in ("system", "release", "provider")
        )
        return system, release, provider


def merge(matrices: Iterable[Matrix]) -> Merged:
    """Join matrices; raise `UsageError` if there is none."""
    ordered = sorted(matrices, key=lambda one: (one.run.started, one.run.id))
    if not ordered:
        raise UsageError("there is nothing to merge")
    groups: dict[str, dict[Identity, list[_Share]]] = {}
    for share in _shares(ordered):
        groups.setdefault(share.name, {}).setdefault(share.identity, []).append(share)
    guests: dict[str, Facts] = {}
    cells: list[Entry] = []
    renamed: list[tuple[str, str, str]] = []
    conflicts: list[Conflict] = []
    for name, identities in sorted(groups.items()):
        same = _same(identities)
        for identity, shares in same.items():
            new = name if len(same) == 1 else _named(name, identity, groups, guests)
            renamed += [(name, new, share.run.id) for share in shares if new != name]
            guests[new] = {**shares[-1].facts, "run": shares[-1].run.id}
            for entries in _by_cell(shares).values():
                entry, conflict = _settled(new, entries)
                cells.append(entry)
                conflicts += [] if conflict is None else [conflict]
    return Merged(
        Matrix(SCHEMA, _run(ordered), guests, tuple(cells)), tuple(renamed), tuple(conflicts)
    )


def _shares(matrices: Sequence[Matrix]) -> Iterable[_Share]:
    for matrix in matrices:
        own: dict[str, list[Entry]] = {name: [] for name in matrix.guests}
        for cell in matrix.cells:
            own[cell.guest].append(cell)
        for name, facts in matrix.guests.items():
            yield _Share(matrix.run, name, facts, tuple(own[name]))


def _same(identities: Mapping[Identity, Sequence[_Share]]) -> dict[Identity, list[_Share]]:
    """Return a name's guests by what they are; a run that could not start it knows of none."""
    answered = {
        identity: [share for share in shares if share.answered]
        for identity, shares in identities.items()
    }
    found = {identity: shares for identity, shares in answered.items() if shares}
    if found:
        return dict(sorted(found.items()))
    every = [share for shares in identities.values() for share in shares]
    return {every[-1].identity: every}


def _named(
    name: str, identity: Identity, groups: Mapping[str, object], guests: Mapping[str, Facts]
) -> str:
    """Return a name of its own for a guest whose name another one has, too."""
    system, release, provider = (UNFIT.sub("-", part).strip("-") for part in identity)
    new = "-".join(part for part in (name, system, release) if part)[:60]
    taken = {*groups, *guests}
    if new in taken:
        new = f"{new[:48]}-{provider or 'other'}"
    number = 2
    while new in taken:
        new, number = f"{new[:56]}-{number}", number + 1
    return new


def _by_cell(shares: Iterable[_Share]) -> Mapping[Key, list[Entry]]:
    found: dict[Key, list[Entry]] = {}
    for share in shares:
        for cell in share.cells:
            found.setdefault(cell.key, []).append(cell)
    return found


def _settled(guest: str, entries: Sequence[Entry]) -> tuple[Entry, Conflict | None]:
    """Return what all runs together say of a cell, oldest first: what was measured holds."""
    # The same asking may come twice, in a copy of a run or in what was merged before.
    entries = [entry for at, entry in enumerate(entries) if entry not in entries[:at]]
    measured = [entry for entry in entries if entry.state is State.MEASURED]
    asked = [entry for entry in entries if entry.state is not State.NOT_RUN]
    newest = (measured or asked or entries)[-1]
    repeats = tuple(one for entry in measured for one in _askings(entry))
    judgement = settle([one.judgement for one in repeats]) if measured else newest.judgement
    if judgement.state is newest.state:
        return replace(newest, guest=guest), None
    entry = replace(
        newest,
        guest=guest,
        state=judgement.state,
        verdict=judgement.verdict,
        why=judgement.why,
        counts={},
        statistics={},
        repeats=repeats,
        seconds=round(sum(entry.seconds for entry in measured), 3),
    )
    words = dict.fromkeys(entry.verdict or "" for entry in measured)
    return entry, Conflict(guest, entry.cell.key, tuple(words))


def _askings(entry: Entry) -> Sequence[Asking]:
    return entry.repeats or (Asking.of(entry.judgement),)


def _run(ordered: Sequence[Matrix]) -> Run:
    """Return the whole's own line: full if all were, as old as its youngest part."""
    runs = [matrix.run for matrix in ordered]
    digest = hashlib.sha256("\n".join(sorted({run.id for run in runs})).encode()).hexdigest()
    full = all(run.catalogue is Depth.FULL for run in runs)
    return Run(f"merged-{digest[:12]}", runs[-1].started, Depth.FULL if full else Depth.QUICK)
