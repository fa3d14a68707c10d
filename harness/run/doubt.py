"""Verdicts that contradict their neighbours: cells that differ only in family or bind address.

A kernel may treat an address family or a wildcard in its own way. Then the difference is
systematic: all cells at one value of the axis have it, or the same cell of other groups has it too.
A verdict that differs alone may be chance, and is asked once more. So is a cell without a verdict
that had fewer flows than its error rate asks for: a calmer guest may serve more.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from harness.model import Cell, Judgement, word
from harness.scenarios.tally import had_too_few

NEIGHBOURLY = ("family", "bind")
"""The axes in which neighbours differ."""

LEAST, SHARE = 5, 0.1
"""At most this share of a guest's cells is asked again, but always as many as `LEAST`."""

Group = Mapping[Cell, str]
"""Neighbours, and the word of each."""

Place = tuple[tuple[str, str], ...]
"""The values of these axes."""


def doubtful(found: Mapping[Cell, Judgement]) -> tuple[Cell, ...]:
    """Return the cells to ask again, in order.

    These are the cells whose verdict contradicts that of most neighbours, and those that had too
    few flows for a verdict.
    """
    odd = dict[Cell, str]()
    returning = Counter[tuple[str, Place, str]]()
    for group in _groups(found):
        strange = _odd(group)
        odd |= {
            cell: said for cell, said in strange.items() if not _systematic(cell, group, strange)
        }
        returning.update((cell.scenario, _place(cell), said) for cell, said in strange.items())
    chosen = {
        cell for cell, said in odd.items() if returning[cell.scenario, _place(cell), said] == 1
    }
    chosen |= {cell for cell, judgement in found.items() if had_too_few(judgement)}
    most = max(LEAST, int(SHARE * len(found)))
    return tuple(cell for cell in found if cell in chosen)[:most]


def _place(cell: Cell) -> Place:
    return tuple(point for point in cell.points if point[0] in NEIGHBOURLY)


def _groups(found: Mapping[Cell, Judgement]) -> Iterator[Group]:
    """Yield the measured cells in groups of neighbours."""
    groups = defaultdict[tuple[object, ...], dict[Cell, str]](dict)
    for cell, judgement in found.items():
        if judgement.verdict is not None:
            others = tuple(point for point in cell.points if point[0] not in NEIGHBOURLY)
            groups[cell.scenario, others][cell] = word(judgement.verdict)
    yield from groups.values()


def _odd(group: Group) -> Group:
    """Return the cells that differ from what more than half of the group say."""
    ((usual, count),) = Counter(group.values()).most_common(1)
    if 2 * count <= len(group):
        return {}
    return {cell: said for cell, said in group.items() if said != usual}


def _systematic(cell: Cell, group: Group, odd: Group) -> bool:
    """Whether all cells at one of its values, two or more, are odd in the same way."""
    for point in _place(cell):
        there = [one for one in group if point in one.points]
        if len(there) > 1 and all(odd.get(one) == odd[cell] for one in there):
            return True
    return False
