"""`report`: shows recordings as a table, a page or data; no guest is started."""

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
"""Formats that are one document of one run."""

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
    "--format", "form", type=click.Choice(list(FORMATS)), default="terminal", help="What to write."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Instead of stdout."
)
@click.option(
    "--since",
    type=click.Path(path_type=Path),
    metavar="OLD",
    help="Say what changed since this run (html).",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Tests fail that are not as this says (junit).",
)
@click.option("-v", "--verbose", is_flag=True, help="The counts behind each word (terminal).")
def report(
    *,
    paths: Sequence[Path],
    form: str,
    output: Path | None,
    since: Path | None,
    baseline: Path | None,
    verbose: bool,
) -> None:
    """Show recordings as a table, a page or data.

    Reads the matrix.json of a run's folder, or the file itself: the same input gives the same
    bytes. Several are shown one after the other, where a format is no document of its own.
    """
    if form in ONE and len(paths) > 1:
        raise UsageError(f"{form} is one document: name one run", hint="call it once for each")
    if since is not None and form != "html":
        raise UsageError("--since goes with --format html", hint="`diff OLD NEW` says it alone")
    if baseline is not None and form != "junit":
        hint = "`run --baseline` and `diff` compare"
        raise UsageError("--baseline goes with --format junit", hint=hint)
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
