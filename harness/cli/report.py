"""`report`: shows a run as a table, a page or data; starts no guest."""

from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.output import WIDTH, for_terminal
from harness.errors import UsageError
from harness.report import terminal
from harness.report.formats import FORMATS
from harness.report.report import Report
from harness.run.baseline_file import load_baseline
from harness.run.results import load_report
from harness.store import replace

ONE = ("html", "csv", "junit", "json", "compat", "header")
"""Formats whose document holds exactly one run."""

EPILOG = """\b
Examples:
  reuseport-matrix report matrix-20260101-120000
  reuseport-matrix report DIR --format html -o page.html
  reuseport-matrix report DIR --format html --since YESTERDAY -o page.html
  reuseport-matrix report DIR --format markdown -o table.md
  reuseport-matrix report DIR --format junit --baseline expected.yaml -o junit.xml
  reuseport-matrix report DIR/matrix.json --format json     with compatibility data
  reuseport-matrix report DIR --format header -o reuseport_matrix.h
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
def report(
    *,
    paths: Sequence[Path],
    form: str,
    output: Path | None,
    since: Path | None,
    baseline: Path | None,
    verbose: bool,
) -> None:
    """Show a run as a table, a page or data.

    Name the folder of a run, or a matrix.json. The same input always gives the same bytes. The
    formats terminal and markdown can show several runs, one after the other.
    """
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
    text = "\n".join(_text(one, form, output is None, verbose) for one in found)
    if output is None:
        click.echo(text, nl=False, color=True)
    else:
        replace(output, text.encode())


def _text(report: Report, form: str, shown: bool, verbose: bool) -> str:
    if form != "terminal":
        return FORMATS[form](report)
    if shown:
        return for_terminal(report.matrix, verbose=verbose)
    return terminal.render(report.matrix, width=WIDTH, verbose=verbose)
