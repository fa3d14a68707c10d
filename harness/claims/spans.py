"""Since when and until when: what the releases that were measured say, with what they leave out."""

from collections.abc import Iterable

from msgspec import Struct

from harness.claims.claim import Standing
from harness.matrix.evidence import Witness, numbers, release_order


class Span(Struct, frozen=True):
    """Measured releases of one system, next to each other, of which the same can be said.

    `since` and `until` were measured. `after` is the last release measured before them, of which
    something else can be said: where between `after` and `since` it changed is not known.
    """

    system: str
    standing: Standing
    since: str
    until: str
    after: str | None


def standing(agreements: Iterable[bool]) -> Standing:
    """Return what cells that agree or not amount to, there being at least one."""
    found = set(agreements)
    if len(found) > 1:
        return Standing.MIXED
    return Standing.CONFIRMED if found == {True} else Standing.REFUTED


def spans(cells: Iterable[tuple[Witness, bool]]) -> tuple[Span, ...]:
    """Return the spans of each system, oldest first; a release that is not known is left out."""
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
