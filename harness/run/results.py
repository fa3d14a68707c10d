"""Judges a run's folder, writes a matrix and its reports, and reads them again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness import matrix as matrices
from harness.errors import FileError
from harness.matrix import Matrix
from harness.matrix.baseline import Baseline, BaselineCheck, hold
from harness.matrix.recordings import Recordings
from harness.report import html, junit, markdown
from harness.report.report import Report
from harness.store import JOURNAL, judge_folder, keep, make_folder, recordings_of, replace
from harness.store.runs import MATRIX, complete, load_matrix

REPORT = "report.html"
TABLE = "report.md"
TESTS = "junit.xml"


def write_reports(folder: Path, expected: Baseline | None = None) -> Matrix:
    """Judge a run's folder and write its matrix and reports; return the matrix."""
    matrix = judge_folder(folder)
    before = complete(folder)
    if before is not None and not before.guests.keys() & matrix.guests.keys():
        before = None
    _write(folder, Report(matrix, before, recordings_of(folder), held(matrix, expected)))
    return matrix


def held(matrix: Matrix, expected: Baseline | None) -> BaselineCheck | None:
    """Compare a matrix with a baseline, if there is one. Expiry dates are UTC, as run times are."""
    return None if expected is None else hold(matrix, expected, datetime.now(UTC).date())


def write_merge(
    path: Path, matrix: Matrix, named: Sequence[Path], *, force: bool = False
) -> tuple[str, ...]:
    """Write a merge of what the user named: into a file that ends in .json, or into a folder.

    A folder also gets the reports and the recordings of its runs. Return the ids of the runs whose
    recordings did not come along. Raise `FileError` if the folder belongs to a run, or without
    `force` if another matrix is there already.
    """
    if (path / JOURNAL).exists():
        hint = "name another folder, or a file that ends in .json"
        raise FileError(path, None, "is a run's folder", hint=hint)
    if not force and path not in named:
        _spare(path, matrix)
    if path.suffix == ".json":
        replace(path, matrices.encode(matrix))
        return tuple(one.id for one in matrix.run.merged)
    make_folder(path)
    kept = set[str]().union(*(keep(one, matrix.run.merged, path) for one in named))
    _write(path, Report(matrix, complete(path), recordings_of(path, matrix.run)))
    return tuple(one.id for one in matrix.run.merged if one.id not in kept)


def _spare(path: Path, matrix: Matrix) -> None:
    """Raise `FileError` if there is a matrix of other runs; any other file may be replaced."""
    try:
        there = load_matrix(path)
    except FileError:
        return
    if there.run.id != matrix.run.id:
        what = "another merge" if there.run.merged else f"the matrix of run {there.run.id}"
        hint = "name another place with -o, or replace it with --force"
        raise FileError(path, None, f"already holds {what}", hint=hint)


def _write(folder: Path, report: Report) -> None:
    replace(folder / MATRIX, matrices.encode(report.matrix))
    replace(folder / TABLE, markdown.render(report.matrix).encode())
    replace(folder / REPORT, html.render(report).encode())
    replace(folder / TESTS, junit.render(report).encode())


def load_report(
    path: Path, before: Path | None, expected: Baseline | None, *, whole: bool
) -> Report:
    """Read a matrix and what to compare it with; with `whole` also the recordings behind it."""
    matrix = load_matrix(path)
    older = load_matrix(before) if before is not None else None
    recordings = recordings_of(path, matrix.run) if whole and path.is_dir() else Recordings()
    return Report(matrix, older, recordings, held(matrix, expected))
