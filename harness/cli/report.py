"""`report`: shows a run as a table, a page or data; starts no guest."""

from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.options import only_scenarios
from harness.cli.output import for_terminal, piped_width, write_paged
from harness.errors import UsageError
from harness.matrix import Matrix
from harness.report import markdown, terminal
from harness.report.formats import FORMATS
from harness.report.report import Report
from harness.report.row_choice import ALL, RowChoice
from harness.run.baseline_file import load_baseline
from harness.run.nearest import unknown
from harness.run.results import load_report
from harness.store import replace

ONE = ("html", "csv", "junit", "json", "compat", "header")
"""Formats whose document holds exactly one run."""

ROWS = ("terminal", "markdown")
"""Formats for people, which can leave rows out."""

EPILOG = """\b
Examples:
  reuseport-matrix report matrix-20260101-120000
  reuseport-matrix report DIR --format html -o page.html
  reuseport-matrix report DIR --format html --since YESTERDAY -o page.html
  reuseport-matrix report DIR --format markdown -o table.md
  reuseport-matrix report DIR --format junit --baseline expected.yaml -o junit.xml
  reuseport-matrix report DIR/matrix.json --format json     with compatibility data
  reuseport-matrix report DIR --format header -o reuseport_matrix.h
  reuseport-matrix report MERGED --differs --scenario failure-queued
  reuseport-matrix report DIR --verbose               the counts behind each word
"""


@click.command(epilog=EPILOG)
@click.argument(
    "paths", nargs=-1, required=True, metavar="DIR|FILE...", type=click.Path(path_type=Path)
)
@click.option(
    "--format", "form", type=click.Choice(list(FORMATS)), default="terminal", help="Output format."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to this file."
)
@click.option(
    "--since",
    type=click.Path(path_type=Path),
    metavar="OLD",
    help="Show what changed since this run (html).",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Show a verdict that differs from this file as a failed test (junit).",
)
@click.option("-v", "--verbose", is_flag=True, help="The counts behind each verdict (terminal).")
@click.option("--full", is_flag=True, help="Every row, also of a merge (terminal, markdown).")
@click.option("--guest", "guests", multiple=True, metavar="NAME", help="Only this guest's rows.")
@only_scenarios("Only the rows of this scenario.")
@click.option("--differs", is_flag=True, help="Only rows on which guests of one system differ.")
def report(
    *,
    paths: Sequence[Path],
    form: str,
    output: Path | None,
    since: Path | None,
    baseline: Path | None,
    verbose: bool,
    full: bool,
    guests: Sequence[str],
    scenarios: Sequence[str],
    differs: bool,
) -> None:
    """Show a run as a table, a page or data.

    Name the folder of a run, or a matrix.json. The same input always gives the same bytes. The
    formats terminal and markdown can show several runs, one after the other.

    A merge, and a run of several systems, is summed up: the answers, and a line for each scenario.
    --full, --guest, --scenario and --differs show the rows. On a terminal the report goes through
    $PAGER if it is set and the report is longer than the screen.
    """
    choice = RowChoice(tuple(guests), tuple(scenarios), differs, full)
    if form not in ROWS and choice != ALL:
        hint = "these formats have every row: terminal and markdown leave rows out"
        raise UsageError(f"{form} takes no --full, --guest, --scenario or --differs", hint=hint)
    if form in ONE and len(paths) > 1:
        hint = "call `report` once for each run"
        raise UsageError(f"{form} is one document: name one run", hint=hint)
    if since is not None and form != "html":
        hint = "`diff OLD NEW` shows the changes alone"
        raise UsageError("--since works only with --format html", hint=hint)
    if baseline is not None and form != "junit":
        hint = "`run --baseline` and `diff` also compare"
        raise UsageError("--baseline works only with --format junit", hint=hint)
    expected = load_baseline(baseline) if baseline is not None else None
    found = [load_report(path, since, expected, whole=form == "html") for path in paths]
    for one in found:
        _check(choice, one.matrix)
    text = "\n".join(_text(one, form, choice, output is None, verbose) for one in found)
    if output is None:
        write_paged(text)
    else:
        replace(output, text.encode())


def _check(choice: RowChoice, matrix: Matrix) -> None:
    """Raise `UsageError` for a guest or a scenario that the run does not have."""
    names = {"guest": [*matrix.guests]}
    names["scenario"] = [*dict.fromkeys(cell.scenario for cell in matrix.cells)]
    for what, asked in (("guest", choice.guests), ("scenario", choice.scenarios)):
        for name in asked:
            if name not in names[what]:
                raise unknown(f"{what} of run {matrix.run.id}", name, names[what])


def _text(report: Report, form: str, choice: RowChoice, shown: bool, verbose: bool) -> str:
    if form == "markdown":
        return markdown.render(report.matrix, choice)
    if form != "terminal":
        return FORMATS[form](report)
    if shown:
        return for_terminal(report.matrix, verbose=verbose, choice=choice)
    return terminal.render(report.matrix, width=piped_width(), verbose=verbose, choice=choice)
