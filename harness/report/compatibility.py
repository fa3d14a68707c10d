"""Compatibility data: for each behaviour, what each system does from which release to which.

It is modelled on MDN's browser-compat-data. A range joins neighbouring measured releases with the
same word, unless their shares differ by more than chance. A release between two ranges was not
measured and belongs to neither.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Final, Literal

import msgspec
from msgspec import Struct

from harness.matrix import Entry, Matrix, Run, document, schema_of
from harness.matrix.changes import p_same_share
from harness.matrix.evidence import numbers, release_order
from harness.model import State, word
from harness.report.fold import Point, folded
from harness.report.grid import figure, roughly
from harness.scenarios import CATALOGUE
from harness.scenarios.statistics import ALPHA_OTHER

VERSION: Final = 1


class Range(Struct, frozen=True, omit_defaults=True):
    """Releases of a system with the same answer: the first, the last, and all that were measured.

    `verdict` is a word without its count, set only for the state `measured`. `share` is the
    smallest and the largest share that was seen with the word.
    """

    state: State
    first: str | None = msgspec.field(name="from")
    last: str | None = msgspec.field(name="to")
    releases: tuple[str | None, ...]
    guests: tuple[str, ...]
    verdict: str | None = None
    why: str | None = None
    share: tuple[float, float] | None = None


class Support(Struct, frozen=True):
    """What systems do at every combination of these values of the axes."""

    axes: Mapping[str, tuple[str, ...]]
    support: Mapping[str, tuple[Range, ...]]


class Behaviour(Struct, frozen=True):
    """A scenario's sentence, and what was measured."""

    sentence: str
    supports: tuple[Support, ...]


class Compatibility(Struct, frozen=True):
    """All behaviours of a matrix; `schema` is the version of this format, not of matrix.json."""

    schema: Literal[1]
    run: Run
    behaviours: Mapping[str, Behaviour]


Told = tuple[str, str | None, Entry]
"""A guest, its release, and its cell."""


def compatibility(matrix: Matrix) -> Compatibility:
    """Return the behaviours of each system in a matrix; cells that were not run are left out."""
    by_scenario: dict[str, dict[Point, dict[str, list[Told]]]] = {}
    for entry in matrix.cells:
        if entry.state in (State.NOT_RUN, State.INFRASTRUCTURE):
            continue
        facts = matrix.guests[entry.guest]
        system, release = (facts.get(name) for name in ("system", "release"))
        points = by_scenario.setdefault(entry.scenario, {})
        systems = points.setdefault(tuple(entry.axes.items()), {})
        told = (entry.guest, None if release is None else str(release), entry)
        systems.setdefault(str(system or "unknown"), []).append(told)
    return Compatibility(
        VERSION,
        matrix.run,
        {name: _behaviour(name, points) for name, points in by_scenario.items()},
    )


def _behaviour(name: str, points: Mapping[Point, Mapping[str, list[Told]]]) -> Behaviour:
    tests = sum(len(told) for systems in points.values() for told in systems.values())
    found = {
        point: {system: tuple(_ranges(told, tests)) for system, told in sorted(systems.items())}
        for point, systems in points.items()
    }
    ordered = list(found)
    supports = [
        Support(dict(fold.values), _joined([found[ordered[at]] for at in fold.members]))
        for fold in folded((point, _said(found[point])) for point in ordered)
    ]
    known = CATALOGUE.get(name)
    return Behaviour(known.sentence if known else "", tuple(supports))


def _said(systems: Mapping[str, tuple[Range, ...]]) -> Hashable:
    """Return a key that is equal for points that may share an entry, with shares that are near."""
    return tuple(
        (system, tuple((msgspec.structs.replace(one, share=None), _near(one)) for one in ranges))
        for system, ranges in systems.items()
    )


def _near(one: Range) -> tuple[int | None, ...]:
    return () if one.share is None else tuple(map(roughly, one.share))


def _joined(every: list[dict[str, tuple[Range, ...]]]) -> Mapping[str, tuple[Range, ...]]:
    """Return the ranges of points with equal answers; their shares become one span."""
    return {
        system: tuple(
            msgspec.structs.replace(one, share=_span(other[system][at].share for other in every))
            for at, one in enumerate(ranges)
        )
        for system, ranges in every[0].items()
    }


def _span(shares: Iterable[tuple[float, float] | None]) -> tuple[float, float] | None:
    known = [share for share in shares if share is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None


def _ranges(told: Iterable[Told], tests: int) -> Iterator[Range]:
    """Yield a range for each run of neighbouring releases with the same answer, oldest first.

    A release without a number has no neighbours. `tests` bounds how many shares are compared.
    """
    group: list[Told] = []
    for one in sorted(told, key=lambda one: (release_order(one[1] or ""), one[0])):
        if group and not _alike(group[-1], one, tests):
            yield _range(group)
            group = []
        group.append(one)
    if group:
        yield _range(group)


def _alike(one: Told, other: Told, tests: int) -> bool:
    ordered = bool(numbers(one[1]) and numbers(other[1])) or one[1] == other[1]
    if not ordered or _word(one[2]) != _word(other[2]):
        return False
    p = p_same_share(one[2], other[2])
    return p is None or p * tests > ALPHA_OTHER


def _word(entry: Entry) -> tuple[State, str | None, str | None]:
    return entry.state, None if entry.verdict is None else word(entry.verdict), entry.why


def _range(group: list[Told]) -> Range:
    state, said, why = _word(group[0][2])
    figures = [figure(entry) for _, _, entry in group]
    known = [round(one, 4) for one in figures if one is not None]
    return Range(
        state,
        group[0][1],
        group[-1][1],
        tuple(dict.fromkeys(release for _, release, _ in group)),
        tuple(guest for guest, _, _ in group),
        said,
        why,
        (min(known), max(known)) if known else None,
    )


def render(matrix: Matrix) -> str:
    """Return the data as JSON."""
    return document(compatibility(matrix)).decode()


def with_matrix(matrix: Matrix) -> str:
    """Return matrix.json with the key `compatibility` added; its readers can read this, too."""
    own = {name: getattr(matrix, name) for name in matrix.__struct_fields__}
    return document({**own, "compatibility": compatibility(matrix)}).decode()


def published() -> bytes:
    """Return the content of docs/compatibility.schema.json."""
    return schema_of(Compatibility, "compatibility data")
