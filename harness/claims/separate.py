"""By what cells differ that bear a claim out and cells that contradict it: address, version, …"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from msgspec import Struct

MOST = 3
"""Names that a separator has at most: more than three say nothing that a reader can use."""

WEAK = ("guest", "run")
"""Names that tell any two guests apart: named only if nothing about the guests does."""

Point = tuple[Mapping[str, str], bool]
"""The attributes of a cell, and whether it agrees."""


class Separator(Struct, frozen=True):
    """Names whose values tell the cells that agree from those that contradict, and the values."""

    names: tuple[str, ...]
    agree: tuple[str, ...]
    contradict: tuple[str, ...]


def separators(points: Sequence[Point]) -> tuple[Separator, ...]:
    """Return the shortest separators, each as good as the others; none if nothing tells.

    Several mean that the cells do not tell which it is: where IPv4 was asked at a specific
    address only and IPv6 at the wildcard only, it is the one or the other.
    """
    varying = list(_varying(points))
    strong = [name for name in varying if name not in WEAK]
    for names in (strong, varying):
        for size in range(1, MOST + 1):
            found = [_separator(points, some) for some in combinations(names, size)]
            if told := tuple(one for one in found if one is not None):
                return told
    return ()


def _varying(points: Iterable[Point]) -> Iterator[str]:
    values: dict[str, set[str]] = {}
    known = [attributes for attributes, _ in points]
    for name in dict.fromkeys(name for attributes in known for name in attributes):
        values[name] = {attributes.get(name, "") for attributes in known}
    return (name for name, found in values.items() if len(found) > 1)


def _separator(points: Iterable[Point], names: tuple[str, ...]) -> Separator | None:
    sides: dict[bool, dict[str, None]] = {True: {}, False: {}}
    for attributes, agrees in points:
        sides[agrees][" ".join(attributes.get(name, "-") for name in names)] = None
    if sides[True].keys() & sides[False].keys():
        return None
    return Separator(names, tuple(sides[True]), tuple(sides[False]))
