"""What is to be done in a run: for each guest, or each copy of it, the cells that it is asked."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from harness import clocks
from harness.model import Cell, Guest
from harness.run.copies import Kin
from harness.run.experience import BOOT, DOWNLOAD, Experience, experience_near
from harness.run.machines import Start
from harness.run.plan import Candidate, Plan
from harness.run.shards import split

logger = logging.getLogger(__name__)


class Errand(Struct, frozen=True):
    """A guest, or a copy of it, and the cells that it is asked.

    `kin`: what all copies of the guest must be. `lost` are machines that were lost with it, `unfit`
    those on which it was no copy of the others.
    """

    candidate: Candidate
    guest: Guest
    cells: tuple[Cell, ...]
    kin: Kin | None = None
    lost: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The guest's name, and the number of the copy."""
        return self.guest.label

    def cells_on(self, machine: str) -> tuple[Cell, ...]:
        """Return the cells that are asked there: all that this machine has not answered yet."""
        answered = self.candidate.answered.get(machine, frozenset())
        return tuple(cell for cell in self.cells if cell.key not in answered)


def errands_of(plan: Plan) -> tuple[Errand, ...]:
    """Return the errands of a run; with shards, each guest's cells are split among its copies."""
    shards = plan.begun.shards
    known = experience_near(plan.folder) if shards > 1 else Experience()
    found = list[Errand]()
    for candidate in plan.candidates:
        guest = candidate.guest
        if not candidate.starts or not candidate.cells:
            continue
        if shards > 1 and not _splits(candidate):
            logger.warning("%s is not split: each copy would be the same machine", guest.name)
        if shards == 1 or not _splits(candidate):
            found.append(Errand(candidate, guest, candidate.cells))
            continue
        kin = Kin(candidate.met)
        parts = split(candidate.cells, shards, partial(known.of, guest.name))
        found += [
            Errand(candidate, replace(guest, copy=number), cells, kin)
            for number, cells in enumerate(parts, start=1)
        ]
    return tuple(found)


def labels(plan: Plan, errands: Sequence[Errand]) -> list[str]:
    """Return the labels of all guests of a run, each with its copies."""
    found = list[str]()
    for candidate in plan.candidates:
        own = [one.label for one in errands if one.candidate is candidate]
        found += own or [candidate.guest.name]
    return found


def _splits(candidate: Candidate) -> bool:
    """Return whether copies of a guest can be made: a machine that is there is only one."""
    return all(candidate.guest.section(one.offer.name).made for one in candidate.starts)


Seconds = Callable[[Errand, Start], float]
"""How long an errand is expected to take on a machine."""


def expected(plan: Plan) -> Seconds:
    """Return what the policy expects. On one machine only the order counts, and it is kept."""
    if len(plan.machines) == 1:
        return lambda errand, start: 1.0
    return partial(_seconds, experience_near(plan.folder))


def _seconds(known: Experience, errand: Errand, start: Start) -> float:
    cells = errand.cells_on(start.machine.name)
    seconds = BOOT + sum(known.of(errand.guest.name, cell) for cell in cells)
    virtual = errand.guest.section(start.offer.name).virtual
    factor = clocks.SLOW if virtual and not start.machine.accelerated else 1.0
    return seconds * factor + (DOWNLOAD if start.offer.download is not None else 0.0)
