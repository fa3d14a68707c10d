"""Copies the recordings of merged runs into the folder of the merge, so that they stay together."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.machine import guarded
from harness.machine.files import replace_folder
from harness.matrix import MergedRun
from harness.model import GUEST_NAME
from harness.store.folder import JOURNAL, lines_of, translated
from harness.store.journal import RunBegun

RUNS = "runs"
"""The folder in a merge that has a folder for each run whose recordings came along."""

FILES = ("agent.jsonl", "facts.json", "console.log")
"""What a run's folder holds of each guest."""


def place(run: str) -> str:
    """Return the name of a run's folder in a merge. An id that is no safe name becomes a digest."""
    if GUEST_NAME.fullmatch(run):
        return run
    return f"run-{hashlib.sha256(run.encode(errors='surrogatepass')).hexdigest()[:12]}"


def keep(named: Path, runs: tuple[MergedRun, ...], merge: Path) -> set[str]:
    """Copy the recordings of what the user named into the folder of a merge.

    `named` is a run's folder, the folder of an earlier merge, or the matrix.json in one of them.
    Return the ids of `runs` whose recordings are there. Raise `FileError` if one cannot be written.
    """
    found = set()
    for source in _sources(named if named.is_dir() else named.parent):
        for one in runs:
            if one.id == _id(source):
                _copy(source, merge / RUNS / place(one.id), merge)
                found.add(one.id)
    return found


def _sources(folder: Path) -> Iterator[Path]:
    if (folder / JOURNAL).exists():
        yield folder
        return
    yield from sorted(path.parent for path in folder.glob(f"{RUNS}/*/{JOURNAL}"))


def _id(folder: Path) -> str | None:
    return next((line.id for line in lines_of(folder) if isinstance(line, RunBegun)), None)


def _copy(source: Path, target: Path, merge: Path) -> None:
    """Copy a run's folder in one step, unless it is there with as much in its journal."""
    known = target / JOURNAL
    with translated(target):
        if known.exists() and known.stat().st_size >= (source / JOURNAL).stat().st_size:
            return
        guarded.make_folder(target.parent, inside=merge)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
            for part in _parts(source):
                copy = Path(scratch) / "run" / part
                copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with (
                    guarded.file(source / part, inside=source) as original,
                    guarded.file(copy, "ab", inside=Path(scratch)) as made,
                ):
                    shutil.copyfileobj(original, made)
            replace_folder(Path(scratch) / "run", target)


def _parts(source: Path) -> Iterator[Path]:
    """Yield the files to copy; links are left out."""
    yield Path(JOURNAL)
    for guest in sorted((source / "guests").glob("*")):
        further = (path.name for path in sorted(guest.glob("console-*[0-9].log")))
        for name in (*FILES, *further):
            file = guest / name
            if file.is_file() and not file.is_symlink() and not guest.is_symlink():
                yield file.relative_to(source)
