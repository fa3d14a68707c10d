"""Writes the results of a command: for a terminal, as Markdown, or as JSON."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from harness import matrix as matrices
from harness.cli.exit import ExitStatus, complain
from harness.cli.table import write_json
from harness.leases import Lease, Unended
from harness.matrix import Matrix
from harness.report import terminal
from harness.report.row_choice import ALL, RowChoice
from harness.run.results import REPORT
from harness.text import Paint, visible

WIDTH = 100
"""Columns if standard output is not a terminal."""

NARROWEST = 60

DIGITS = 6
"""A number of columns has fewer digits than this; a longer one is a mistake."""


def show(matrix: Matrix, folder: Path, *, as_json: bool, verbose: bool) -> None:
    """Write the matrix to standard output, and the path of the report to standard error."""
    text = matrices.encode(matrix).decode() if as_json else for_terminal(matrix, verbose=verbose)
    click.echo(text, nl=False, color=True)
    click.echo(f"report: {folder / REPORT}", err=True)


def for_terminal(matrix: Matrix, *, verbose: bool, choice: RowChoice = ALL) -> str:
    """Render for standard output: as wide as the terminal, and in colour if it allows colour."""
    width, colour = looks()
    return terminal.render(matrix, width=width, colour=colour, verbose=verbose, choice=choice)


def write_paged(text: str) -> None:
    """Write to standard output; if it is a terminal with fewer lines, through $PAGER if set."""
    paged = bool(os.environ.get("PAGER")) and sys.stdout.isatty()
    if paged and text.count("\n") >= os.get_terminal_size(sys.stdout.fileno()).lines:
        click.echo_via_pager(text, color=True)
    else:
        click.echo(text, nl=False, color=True)


def looks() -> tuple[int, bool]:
    """Return the width of standard output in columns, and whether to use colour."""
    if not sys.stdout.isatty():
        return piped_width(), False
    # A terminal without a known size says 0 (a serial line, `docker run -t`).
    columns = os.get_terminal_size(sys.stdout.fileno()).columns or WIDTH
    return max(NARROWEST, columns), in_colour()


def piped_width() -> int:
    """Return the width for output off a terminal: $COLUMNS (POSIX, XBD 8.3), or `WIDTH`."""
    asked = os.environ.get("COLUMNS", "")
    known = asked.isascii() and asked.isdigit() and len(asked) < DIGITS and int(asked) > 0
    return max(NARROWEST, int(asked)) if known else WIDTH


def write_as(
    form: str,
    *,
    data: Callable[[], object],
    page: Callable[[], Iterable[str]],
    terminal: Callable[[int, Paint], Iterable[str]],
) -> None:
    """Write a command's results to standard output: as `json`, as `markdown`, or for a terminal."""
    if form == "json":
        write_json(data())
        return
    width, colour = looks()
    for line in page() if form == "markdown" else terminal(width, Paint(colour)):
        click.echo(line.rstrip(), color=True)


def in_colour() -> bool:
    """Return whether the user's terminal wants colour (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in (None, "", "dumb")


def say_ended(ended: Iterable[Lease]) -> None:
    """Write a line for each guest that was ended."""
    for lease in ended:
        since = "powered off for a later run" if lease.parked else f"up since {lease.created}"
        click.echo(f"ended {visible(lease.guest)}, {visible(since)}")


def say_unended(left: Iterable[Unended]) -> ExitStatus:
    """Print what may still run and what to do about it; return the exit status for that."""
    status = ExitStatus.OK
    for one in left:
        complain(one.what, hint=one.hint)
        status = ExitStatus.UNMEASURED
    return status
