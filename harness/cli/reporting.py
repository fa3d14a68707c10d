"""`report` and `judge`: from recordings alone, no guest is started."""

from collections.abc import Sequence
from pathlib import Path

import click

FORMATS = ("terminal", "markdown", "json")

REPORT_EPILOG = """\b
Examples:
  reuseport-matrix report matrix-20260101-120000
  reuseport-matrix report DIR --format markdown -o table.md
  reuseport-matrix report DIR/matrix.json --format json
  reuseport-matrix report DIR --verbose               the counts behind each word
"""

JUDGE_EPILOG = """\b
Examples:
  reuseport-matrix judge matrix-20260101-120000
  reuseport-matrix judge DIR --json
"""


@click.command(epilog=REPORT_EPILOG)
@click.argument(
    "paths", nargs=-1, required=True, metavar="DIR|FILE...", type=click.Path(path_type=Path)
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="terminal", help="What to write."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE")
@click.option("-v", "--verbose", is_flag=True, help="The counts behind each word (terminal).")
def report(paths: Sequence[Path], form: str, output: Path | None, verbose: bool) -> None:
    """Show recordings as a table, a page or data.

    Reads the matrix.json of a run's folder, or the file itself: the same input gives the same
    bytes. Several are shown one after the other.
    """
    from harness import report as reports
    from harness.cli.output import WIDTH, for_terminal, load_matrix
    from harness.errors import UsageError
    from harness.report import terminal
    from harness.store import replace

    if form == "json" and len(paths) > 1:
        raise UsageError("json is one document: name one run", hint="call it once for each")
    matrices = [load_matrix(path) for path in paths]
    if output is None and form == "terminal":
        texts = [for_terminal(matrix, verbose=verbose) for matrix in matrices]
    elif form == "terminal":
        texts = [terminal.render(matrix, width=WIDTH, verbose=verbose) for matrix in matrices]
    else:
        texts = [reports.FORMATS[form](reports.Report(matrix)) for matrix in matrices]
    text = "\n".join(texts)
    if output is None:
        click.echo(text, nl=False, color=True)
    else:
        replace(output, text.encode())


@click.command(epilog=JUDGE_EPILOG)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Write matrix.json to standard output.")
@click.option("-v", "--verbose", is_flag=True, help="The counts behind each word.")
def judge(folder: Path, as_json: bool, verbose: bool) -> None:
    """Judge a run's recordings again; no guest is needed.

    Everything is computed anew from DIR/journal.jsonl and what the guests said;
    DIR/matrix.json and the reports are written again.
    """
    from harness.cli.output import show, write_reports
    from harness.live import speaking

    with speaking():
        matrix = write_reports(folder)
    show(matrix, folder, as_json=as_json, verbose=verbose)
