"""What separates the cells that support a claim from those that contradict it: address, …"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from msgspec import Struct

MOST = 3
"""The most names in a separator: a reader cannot use more than three."""

WEAK = ("guest", "run")
"""Names that separate any two guests. They are used only if nothing else about guests does."""

Point = tuple[Mapping[str, str], bool]
"""The attributes of a cell, and whether it agrees."""


class Separator(Struct, frozen=True):
    """Names whose values separate the cells that agree from those that contradict.

    `agree` and `contradict` are the values on each side.
    """

    names: tuple[str, ...]
    agree: tuple[str, ...]
    contradict: tuple[str, ...]


def separators(points: Sequence[Point]) -> tuple[Separator, ...]:
    """Return all separators with the fewest names; none if nothing separates the cells.

    Several separators mean that the cells do not show which one is the cause. For example, if IPv4
    was asked only at a specific address and IPv6 only at the wildcard, it can be either.
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
