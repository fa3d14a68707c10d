"""Removes old runs from a folder that keeps them; a run that was killed counts as one."""

import fcntl
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from harness.errors import FileError
from harness.machine import guarded
from harness.store.folder import JOURNAL
from harness.store.runs import MATRIX, PREFIX

NAME = re.compile(rf"{PREFIX}\d{{8}}-\d{{6}}(?:-\d+)?")
"""The names that `store.runs.fresh` gives."""


def prune_runs(parent: Path, keep: int) -> Iterator[Path]:
    """Remove all but the last `keep` runs, and yield the folder of each that is gone.

    A run that was killed has no matrix.json, or is an empty folder. The newest run with a
    matrix.json stays, because the next one is compared with it, and so does one that another
    process writes to. Raise `FileError` for a run that cannot be removed.
    """
    every = sorted(path for path in parent.glob(f"{PREFIX}*") if _is_run(path))
    whole = [path for path in every if (path / MATRIX).exists()]
    for run in every[:-keep]:
        if run in whole[-1:] or _is_written(run):
            continue
        try:
            shutil.rmtree(run)
        except OSError as exc:
            raise FileError(run, None, f"cannot be removed: {exc.strerror}") from exc
        yield run


def _is_run(path: Path) -> bool:
    """Return whether a folder is a run's; a link to one is not."""
    if path.is_symlink() or not path.is_dir():
        return False
    if any((path / name).exists() for name in (MATRIX, JOURNAL)):
        return True
    return NAME.fullmatch(path.name) is not None and not any(path.iterdir())


def _is_written(folder: Path) -> bool:
    """Return whether another process writes to a run's folder at this moment."""
    path = folder / JOURNAL
    try:
        with guarded.file(path, inside=folder) as journal:
            fcntl.flock(journal.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is no journal, or none that a run could have open
        return False
    return False
