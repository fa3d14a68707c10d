"""Which questions one command asks: those that wait, those that work meanwhile, and not too many.

A guest that hangs costs the time of one batch; what a batch says has to be kept whole
(`transport.shell.CAP`).
"""

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from harness.model import Cell, Depth
from harness.scenarios import CATALOGUE
from harness.scenarios.scenario import FULL, Scenario

WAITING = 8
"""Cells without a load that are asked at once."""

ROUNDS = 6
"""So many rounds of them are in one batch, at most."""

WORKING, FLOWS = 80, 80_000
"""Cells with a load in one batch, and their flows, at most."""


class Pending(Struct, frozen=True):
    """A cell that is still to be asked, for the `attempt`th time."""

    cell: Cell
    attempt: int = 1

    @property
    def scenario(self) -> Scenario:
        """What the cell is of."""
        return CATALOGUE[self.cell.scenario]


class Pace(Struct, frozen=True):
    """How much is asked of a guest at once: of a slow one less, for what waits there works, too.

    And what one command asks of it is over in seconds, or a killed run would lose more of it.
    """

    slow: bool = False

    @property
    def jobs(self) -> int:
        """How many cells without a load may run."""
        return WAITING // 2 if self.slow else WAITING

    @property
    def working(self) -> int:
        """How many cells with one are in a batch."""
        return WORKING // 4 if self.slow else WORKING

    @property
    def flows(self) -> int:
        """How many flows those may have."""
        return FLOWS // 4 if self.slow else FLOWS

    def load(self, scenario: Scenario) -> int:
        """Return how many percent of a CPU one of the scenario's cells is busy for."""
        return min(FULL, scenario.load * 2) if self.slow else scenario.load


class Batch(Struct, frozen=True):
    """Cells that one command asks, all with the same tunable at the same value."""

    askings: tuple[Pending, ...]

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """What they are of, each once."""
        return tuple({asking.cell.scenario: asking.scenario for asking in self.askings}.values())

    @property
    def title(self) -> str:
        """A few words for who watches."""
        first, *others = (scenario.id for scenario in self.scenarios)
        return f"{first} and {len(others)} more" if others else first

    def rounds(self, pace: Pace) -> int:
        """Return in how many rounds they are asked, as if those that wait came before the others.

        Each takes no longer than the longest alarm.
        """
        loads = [pace.load(asking.scenario) for asking in self.askings]
        return math.ceil(loads.count(0) / pace.jobs) + math.ceil(sum(loads) / FULL)


def batches(
    todo: Sequence[Pending], depth: Depth, pace: Pace, *, apart: bool = False
) -> Iterator[Batch]:
    """Yield all of `todo` in batches; with `apart` each is of one scenario, as some are anyway.

    A tunable is the whole guest's, so all questions of a batch have the same one at one value.
    """
    groups = dict[tuple[object, ...], list[Pending]]()
    for asking in todo:
        scenario = asking.cell.scenario if apart or asking.scenario.timed else ""
        groups.setdefault((asking.attempt, scenario, asking.cell.setting), []).append(asking)
    for group in groups.values():
        waiting = [asking for asking in group if pace.load(asking.scenario) == 0]
        working = [asking for asking in group if pace.load(asking.scenario) > 0]
        while waiting or working:
            most = _most(working, depth, pace)
            yield Batch((*waiting[: ROUNDS * pace.jobs], *working[:most]))
            waiting, working = waiting[ROUNDS * pace.jobs :], working[most:]


def _most(working: Sequence[Pending], depth: Depth, pace: Pace) -> int:
    """Return how many of these one batch asks: one at least."""
    flows = 0
    for count, asking in enumerate(working[: pace.working]):
        flows += int(asking.scenario.parameters(asking.cell, depth)["flows"])
        if count and flows > pace.flows:
            return count
    return pace.working
