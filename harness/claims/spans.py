"""From which to which measured release a result holds, and which gaps were not measured."""

from collections.abc import Iterable

from msgspec import Struct

from harness.claims.claim import Standing
from harness.matrix.evidence import Witness, numbers, release_order


class Span(Struct, frozen=True):
    """Neighbouring measured releases of one system with the same standing.

    `since` and `until` were measured. `after` is the last release measured before `since`, with
    another standing. Where it changed between `after` and `since` is unknown.
    """

    system: str
    standing: Standing
    since: str
    until: str
    after: str | None


def standing(agreements: Iterable[bool]) -> Standing:
    """Return the standing that follows from at least one cell that agrees or contradicts."""
    found = set(agreements)
    if len(found) > 1:
        return Standing.MIXED
    return Standing.CONFIRMED if found == {True} else Standing.REFUTED


def spans(cells: Iterable[tuple[Witness, bool]]) -> tuple[Span, ...]:
    """Return the spans of each system, oldest first; unknown releases are left out."""
    releases: dict[str, dict[str, list[bool]]] = {}
    for witness, agrees in cells:
        if numbers(witness.release):
            of_system = releases.setdefault(witness.system, {})
            of_system.setdefault(witness.release or "", []).append(agrees)
    found: list[Span] = []
    for system, said in sorted(releases.items()):
        found += _of(
            system, {name: standing(said[name]) for name in sorted(said, key=release_order)}
        )
    return tuple(found)


def _of(system: str, standings: dict[str, Standing]) -> list[Span]:
    found: list[Span] = []
    for release, now in standings.items():
        if found and found[-1].standing is now:
            last = found.pop()
            found.append(Span(system, now, last.since, release, last.after))
        else:
            found.append(Span(system, now, release, release, found[-1].until if found else None))
    return found
