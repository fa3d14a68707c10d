"""`judge`: judges a run's recordings again; starts no guest."""

from pathlib import Path

import click

from harness.cli.output import show
from harness.run.progress import speaking
from harness.run.results import write_reports

EPILOG = """\b
Examples:
  reuseport-matrix judge matrix-20260101-120000
  reuseport-matrix judge DIR --json
"""


@click.command(epilog=EPILOG)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Write matrix.json to standard output.")
@click.option("-v", "--verbose", is_flag=True, help="The counts behind each verdict.")
def judge(folder: Path, as_json: bool, verbose: bool) -> None:
    """Judge a run's recordings again; needs no guest.

    Computes all verdicts again from DIR/journal.jsonl and the recorded answers, and rewrites
    DIR/matrix.json and the reports.
    """
    with speaking():
        matrix = write_reports(folder)
    show(matrix, folder, as_json=as_json, verbose=verbose)
