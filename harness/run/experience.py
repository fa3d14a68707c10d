"""How long cells take, from earlier runs near this one; where there is none, a guess.

Seconds are those of a guest with hardware acceleration, without its boot.
"""

import logging
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from msgspec import Struct, field

from harness import clocks
from harness.errors import FileError
from harness.matrix import Matrix
from harness.model import Cell
from harness.run.batches import WAITING
from harness.scenarios import CATALOGUE
from harness.store.runs import MATRIX, load_matrix, runs

logger = logging.getLogger(__name__)

GUESS = 0.1
"""Seconds of a cell that nobody has measured here: the whole catalogue takes 3 minutes on a fast
host (1600 cells), the short one 10 s (100)."""

BOOT = 10.0
"""Seconds of a boot with hardware acceleration."""

DOWNLOAD = 600.0
"""Seconds of a download of an image: a machine that has it is preferred."""

RUNS = 3
"""How many of the newest earlier runs are read."""

EMULATED = "tcg"
"""The accelerator that is none."""


class Experience(Struct, frozen=True):
    """Seconds by guest and key of a cell."""

    seconds: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def of(self, guest: str, cell: Cell) -> float:
        """Return how long a cell keeps a guest with hardware acceleration."""
        return self.seconds.get((guest, cell.key), GUESS)


def experience_near(folder: Path) -> Experience:
    """Read the newest runs beside a run's folder; one that cannot be read is left out."""
    found: dict[tuple[str, str], float] = {}
    before = (one for one in reversed(runs(folder.parent, MATRIX)) if one != folder)
    for run in islice(before, RUNS):
        try:
            found = {**_seconds(load_matrix(run)), **found}  # the newest wins
        except FileError as exc:
            logger.info("how long guests take is not learnt from this run: %s", exc)
    return Experience(found)


def _seconds(matrix: Matrix) -> Mapping[tuple[str, str], float]:
    factors = {
        name: clocks.SLOW if facts.get("accelerator") == EMULATED else 1.0
        for name, facts in matrix.guests.items()
    }
    return {
        (entry.guest, entry.cell.key): entry.seconds
        / _beside(entry.scenario)
        / factors[entry.guest]
        for entry in matrix.cells
        if entry.seconds
    }


def _beside(scenario: str) -> int:
    """Return how many cells of a scenario run at the same time."""
    known = CATALOGUE.get(scenario)
    return WAITING if known is not None and known.load == 0 else 1
