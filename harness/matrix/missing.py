"""Sums up, a line for each reason, the cells of a matrix that have no verdict."""

from collections import Counter
from collections.abc import Iterator

from harness.matrix.matrix import Matrix
from harness.model import State


def inconclusive(matrix: Matrix) -> tuple[str, ...]:
    """Return one line for each guest and reason for which cells have no clear verdict."""
    return tuple(_counted(matrix, State.INCONCLUSIVE, "inconclusive cells"))


def failed(matrix: Matrix) -> tuple[str, ...]:
    """Return one line for each guest and reason for which the harness or the guest failed."""
    return tuple(_counted(matrix, State.INFRASTRUCTURE, "cells"))


def _counted(matrix: Matrix, state: State, what: str) -> Iterator[str]:
    found = Counter((cell.guest, cell.why) for cell in matrix.cells if cell.state is state)
    for (guest, why), count in found.items():
        yield f"{guest}: {count} {what}: {why}"
