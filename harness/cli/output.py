"""Reads matrices, writes a run's reports, and puts a matrix where the user sees it."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import click

from harness import matrix as matrices
from harness.cli.table import write_json
from harness.errors import FileError
from harness.matrix import Matrix
from harness.matrix.baseline import Baseline, Verdict, hold
from harness.report import Report, html, junit, markdown, terminal
from harness.report.page_recordings import Recordings
from harness.store import JOURNAL, NEVER_ASKED, judge_folder, make_folder, recordings_of, replace
from harness.text import Paint

logger = logging.getLogger(__name__)

PREFIX = "matrix-"
"""What the folder of a run is called, unless `--out` says otherwise; its date and time follow."""

MATRIX = "matrix.json"
REPORT = "report.html"
TABLE = "report.md"
TESTS = "junit.xml"

WIDTH = 100
"""Columns off a terminal."""

NARROWEST = 60


def runs(parent: Path, file: str) -> list[Path]:
    """Return the folders of runs that have this file, the newest last."""
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
    """Return the newest run's folder that has a matrix; None if there is none."""
    return next(reversed(runs(parent, MATRIX)), None)


def load_matrix(path: Path) -> Matrix:
    """Read a matrix.json, or the one of a run's folder; raise `FileError`."""
    file = path / MATRIX if os.path.isdir(path) else path  # Path's raises for a name too long
    return matrices.decode(load(file), file)


def load(file: Path) -> bytes:
    """Read a file that the user named; raise `FileError`."""
    try:
        return file.read_bytes()
    except OSError as exc:
        raise FileError(file, None, f"cannot be read: {exc.strerror}", hint=_hint(file)) from exc


def _hint(file: Path) -> str:
    if file.name == MATRIX and (file.parent / JOURNAL).exists():
        return f"`judge {file.parent}` makes it from what the run wrote down"
    return "name a run's folder or its matrix.json"


def write_reports(folder: Path, expected: Baseline | None = None) -> Matrix:
    """Judge a run's folder and write its matrix and reports; return the matrix."""
    matrix = judge_folder(folder)
    before = complete(folder)
    if before is not None and not before.guests.keys() & matrix.guests.keys():
        before = None
    _write(folder, Report(matrix, before, recordings_of(folder), held(matrix, expected)))
    return matrix


def held(matrix: Matrix, expected: Baseline | None) -> Verdict | None:
    """Hold a matrix against a baseline, if there is one, as of today (UTC, as a run's times)."""
    return None if expected is None else hold(matrix, expected, datetime.now(UTC).date())


def write_matrix(path: Path, matrix: Matrix) -> None:
    """Write a matrix that no run of this folder measured: a file, or a folder with its reports."""
    if path.suffix == ".json":
        replace(path, matrices.encode(matrix))
        return
    if (path / JOURNAL).exists():
        hint = "name a folder of its own, or a file that ends in .json"
        raise FileError(path, None, "is a run's folder", hint=hint)
    make_folder(path)
    _write(path, Report(matrix, complete(path)))


def _write(folder: Path, report: Report) -> None:
    replace(folder / MATRIX, matrices.encode(report.matrix))
    replace(folder / TABLE, markdown.render(report.matrix).encode())
    replace(folder / REPORT, html.render(report).encode())
    replace(folder / TESTS, junit.render(report).encode())


def complete(folder: Path) -> Matrix | None:
    """Return the last run beside this one, before it, of which every cell was asked.

    Runs are told apart by the names that `run` gives them; one of another name is compared with
    none, unless somebody says with which.
    """
    if not folder.name.startswith(PREFIX):
        return None
    for run in reversed(runs(folder.parent, MATRIX)):
        if run.name >= folder.name:
            continue
        try:
            matrix = load_matrix(run)
        except FileError as exc:
            logger.warning("not compared with a run before: %s", exc)
            continue
        if all(cell.why != NEVER_ASKED for cell in matrix.cells):
            return matrix
    return None


def load_report(
    path: Path, before: Path | None, expected: Baseline | None, *, whole: bool
) -> Report:
    """Read a matrix and what it is compared with; `whole`: and what it was judged from."""
    matrix = load_matrix(path)
    older = load_matrix(before) if before is not None else None
    recordings = recordings_of(path) if whole and path.is_dir() else Recordings()
    return Report(matrix, older, recordings, held(matrix, expected))


def show(matrix: Matrix, folder: Path, *, as_json: bool, verbose: bool) -> None:
    """Write the matrix to standard output, and to standard error where the report is."""
    text = matrices.encode(matrix).decode() if as_json else for_terminal(matrix, verbose=verbose)
    click.echo(text, nl=False, color=True)
    click.echo(f"report: {folder / REPORT}", err=True)


def for_terminal(matrix: Matrix, *, verbose: bool) -> str:
    """Render for whatever standard output is: as wide as the terminal, in colour if it may be."""
    width, colour = looks()
    return terminal.render(matrix, width=width, colour=colour, verbose=verbose)


def looks() -> tuple[int, bool]:
    """Return how wide standard output is, and whether it may be in colour."""
    if not sys.stdout.isatty():
        return WIDTH, False
    return max(NARROWEST, os.get_terminal_size(sys.stdout.fileno()).columns), in_colour()


def write_as(
    form: str,
    *,
    data: Callable[[], object],
    page: Callable[[], Iterable[str]],
    terminal: Callable[[int, Paint], Iterable[str]],
) -> None:
    """Write to standard output what a command found, as `json`, `markdown` or for a terminal."""
    if form == "json":
        write_json(data())
        return
    width, colour = looks()
    for line in page() if form == "markdown" else terminal(width, Paint(colour)):
        click.echo(line.rstrip(), color=True)


def in_colour() -> bool:
    """Whether the user's terminal wants colour (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in (None, "", "dumb")
