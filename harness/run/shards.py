"""Splits a guest's cells among copies of it, so that each takes about as long.

The cells of a scenario stay together, because doubtful verdicts are compared with their neighbours
(`harness/run/doubt.py`). So do all scenarios that are about time: what they measure depends on
the machine, and they are compared with each other.
"""

from collections.abc import Callable, Sequence

from harness.model import Cell
from harness.scenarios import CATALOGUE

TIMED = ""
"""Stands for all scenarios that are about time."""


def split(
    cells: Sequence[Cell], count: int, seconds: Callable[[Cell], float]
) -> list[tuple[Cell, ...]]:
    """Return at most `count` parts of the cells, none of them empty; each keeps their order.

    The longest scenario comes first, each to the part that has the least to do.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(_group(cell), []).append(cell)
    parts = [set[str]() for _ in range(count)]
    loads = [0.0] * count
    weights = {name: sum(map(seconds, group)) for name, group in groups.items()}
    for name in sorted(groups, key=lambda one: -weights[one]):
        least = loads.index(min(loads))
        loads[least] += weights[name]
        parts[least].add(name)
    return [tuple(cell for cell in cells if _group(cell) in part) for part in parts if part]


def _group(cell: Cell) -> str:
    scenario = CATALOGUE.get(cell.scenario)
    return TIMED if scenario is not None and scenario.timed else cell.scenario
