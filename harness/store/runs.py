"""Finds the folders of runs by name, and reads the matrix.json in each."""

import logging
import os
import time
from pathlib import Path

from harness import matrix as matrices
from harness.errors import FileError
from harness.machine import guarded
from harness.matrix import Matrix
from harness.store.folder import JOURNAL
from harness.store.judging import NEVER_ASKED

logger = logging.getLogger(__name__)

PREFIX = "matrix-"
"""The start of the name of a run's folder, unless you use `--out`; date and time follow."""

MATRIX = "matrix.json"


def runs(parent: Path, file: str) -> list[Path]:
    """Return the folders of runs in `parent` that contain this file, the newest last."""
    return sorted(path.parent for path in parent.glob(f"{PREFIX}*/{file}"))


def fresh(parent: Path, moment: time.struct_time) -> Path:
    """Return a name for a run's folder that does not exist yet."""
    name = f"{PREFIX}{time.strftime('%Y%m%d-%H%M%S', moment)}"
    folder, count = parent / name, 1
    while folder.exists():
        count += 1
        folder = parent / f"{name}-{count}"
    return folder


def latest_matrix(parent: Path) -> Path | None:
    """Return the folder of the newest run with a matrix; None if there is none."""
    return next(reversed(runs(parent, MATRIX)), None)


def load_matrix(path: Path) -> Matrix:
    """Read a matrix.json, or the one of a run's folder; raise `FileError`."""
    if os.path.isdir(path):  # Path.is_dir raises for long names
        return matrices.decode(load(path / MATRIX, inside=path), path / MATRIX)
    return matrices.decode(load(path), path)


def load(file: Path, inside: Path | None = None) -> bytes:
    """Read a file that the user named, or one in a folder that the user named (`inside`).

    Raise `FileError`.
    """
    try:
        return guarded.read(file, inside=inside)
    except OSError as exc:
        raise FileError(file, None, f"cannot be read: {exc.strerror}", hint=_hint(file)) from exc


def _hint(file: Path) -> str:
    if file.name == MATRIX and (file.parent / JOURNAL).exists():
        return f"`judge {file.parent}` makes it from the run's recordings"
    return "name a run's folder or its matrix.json"


def complete(folder: Path) -> Matrix | None:
    """Return the newest run in the same folder that is older than this one and complete.

    Complete means that every cell was asked. Runs are ordered by the names that `run` gives them; a
    run with another name has no run before it. Then the user must name the run to compare with.
    """
    if not folder.name.startswith(PREFIX):
        return None
    for run in reversed(runs(folder.parent, MATRIX)):
        if run.name >= folder.name:
            continue
        try:
            matrix = load_matrix(run)
        except FileError as exc:
            logger.warning("this run is left out of the comparison: %s", exc)
            continue
        if all(cell.why != NEVER_ASKED for cell in matrix.cells):
            return matrix
    return None
