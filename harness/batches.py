"""Which questions one command asks: neighbours that wait together, and not too many of them."""

import itertools
from collections.abc import Iterator, Sequence

from msgspec import Struct

from harness.model import Cell, Depth
from harness.scenarios import CATALOGUE
from harness.scenarios.scenario import Scenario

BATCH, ROUNDS, BATCH_FLOWS = 12, 6, 80_000
"""Questions in one command, at most: so many, or so many rounds of those that are asked at once,
and so many flows. A guest that hangs costs the time of one batch; cells that wait do so together
only within one; what a command says has to be kept whole (`transport.shell.CAP`)."""


class Asking(Struct, frozen=True):
    """A cell that is still to be asked, for the `attempt`th time."""

    cell: Cell
    attempt: int = 1


def batches(todo: Sequence[Asking], depth: Depth) -> Iterator[tuple[Scenario, Sequence[Asking]]]:
    """Yield neighbours of one scenario: as many as one command asks.

    A tunable is the whole guest's, so all questions of a batch have the same one at one value.
    """
    neighbours = itertools.groupby(todo, lambda one: (one.cell.scenario, one.cell.setting))
    for (name, _), group in neighbours:
        scenario, batch, flows = CATALOGUE[name], list[Asking](), 0
        size = max(BATCH, ROUNDS * scenario.parallel)
        for asking in group:
            more = int(scenario.parameters(asking.cell, depth)["flows"])
            if batch and (len(batch) == size or flows + more > BATCH_FLOWS):
                yield scenario, tuple(batch)
                batch, flows = [], 0
            batch.append(asking)
            flows += more
        yield scenario, tuple(batch)
