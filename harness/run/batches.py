"""Groups questions into batches: one command in the guest asks one batch.

Questions that only wait run at the same time as those that load the CPU. A batch is limited,
because a guest that hangs costs the time of one batch, and because the whole output of a batch must
fit below `transport.shell.CAP`.
"""

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from harness.model import Cell, Depth
from harness.scenarios import CATALOGUE
from harness.scenarios.scenario import FULL, Scenario

WAITING = 8
"""Cells without a load that run at the same time."""

ROUNDS = 6
"""A batch holds at most this many rounds of such cells."""

WORKING, FLOWS = 80, 80_000
"""The most cells with a load in one batch, and the most flows that these may have together."""


class Pending(Struct, frozen=True):
    """A cell that must still be asked; `attempt` counts from 1."""

    cell: Cell
    attempt: int = 1

    @property
    def scenario(self) -> Scenario:
        """The scenario of the cell."""
        return CATALOGUE[self.cell.scenario]


class Pace(Struct, frozen=True):
    """How much a guest is asked at once. A slow guest is asked less: there, waiting costs CPU, too.

    A batch must also end within seconds, because a killed run loses the batch it was in.
    """

    slow: bool = False

    @property
    def jobs(self) -> int:
        """How many cells without a load may run at the same time."""
        return WAITING // 2 if self.slow else WAITING

    @property
    def working(self) -> int:
        """The most cells with a load in a batch."""
        return WORKING // 4 if self.slow else WORKING

    @property
    def flows(self) -> int:
        """The most flows that these cells may have together."""
        return FLOWS // 4 if self.slow else FLOWS

    def load(self, scenario: Scenario) -> int:
        """Return the percentage of a CPU that one cell of the scenario uses."""
        return min(FULL, scenario.load * 2) if self.slow else scenario.load


class Batch(Struct, frozen=True):
    """Cells that one command asks. All have the same tunable at the same value."""

    askings: tuple[Pending, ...]

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """The scenarios of the cells, each once."""
        return tuple({asking.cell.scenario: asking.scenario for asking in self.askings}.values())

    @property
    def title(self) -> str:
        """A few words for the progress display."""
        first, *others = (scenario.id for scenario in self.scenarios)
        return f"{first} and {len(others)} more" if others else first

    def rounds(self, pace: Pace) -> int:
        """Return the number of rounds, as if all cells without a load ran before the others.

        A round takes no longer than the longest alarm.
        """
        loads = [pace.load(asking.scenario) for asking in self.askings]
        return math.ceil(loads.count(0) / pace.jobs) + math.ceil(sum(loads) / FULL)


def batches(
    todo: Sequence[Pending], depth: Depth, pace: Pace, *, apart: bool = False
) -> Iterator[Batch]:
    """Yield all of `todo` in batches. With `apart`, each batch holds one scenario only.

    A timed scenario always gets batches of its own. A tunable applies to the whole guest, so all
    questions of a batch need the same tunable at the same value.
    """
    groups = dict[tuple[object, ...], list[Pending]]()
    for asking in todo:
        scenario = asking.cell.scenario if apart or asking.scenario.timed else ""
        groups.setdefault((asking.attempt, scenario, asking.cell.setting), []).append(asking)
    for group in groups.values():
        waiting = [asking for asking in group if pace.load(asking.scenario) == 0]
        working = [asking for asking in group if pace.load(asking.scenario) > 0]
        # Fill each batch with both kinds: those that wait cost no CPU while the others run.
        while waiting or working:
            most = _most(working, depth, pace)
            yield Batch((*waiting[: ROUNDS * pace.jobs], *working[:most]))
            waiting, working = waiting[ROUNDS * pace.jobs :], working[most:]


def _most(working: Sequence[Pending], depth: Depth, pace: Pace) -> int:
    """Return how many of these cells go into one batch; at least one, or it would never end."""
    flows = 0
    for count, asking in enumerate(working[: pace.working]):
        flows += int(asking.scenario.parameters(asking.cell, depth)["flows"])
        if count and flows > pace.flows:
            return count
    return pace.working
