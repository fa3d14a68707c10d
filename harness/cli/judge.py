"""`judge`: judges a run's recordings again; starts no guest."""

from pathlib import Path

import click

from harness.cli.exit import ExitStatus, complain
from harness.cli.options import strict as strict_option
from harness.cli.output import show
from harness.matrix.missing import failed, inconclusive
from harness.run.progress import speaking
from harness.run.results import write_reports

EPILOG = """\b
Examples:
  reuseport-matrix judge matrix-20260101-120000
  reuseport-matrix judge DIR --json
  reuseport-matrix judge DIR --strict      exit 3 if a cell failed, or is inconclusive
\b
Exit status: 0 the run was judged, whatever the words; with --strict 3 if a cell failed or is
inconclusive; 2 a bad file.
"""


@click.command(epilog=EPILOG)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@strict_option()
@click.option("--json", "as_json", is_flag=True, help="Write matrix.json to standard output.")
@click.option("-v", "--verbose", is_flag=True, help="The counts behind each verdict.")
def judge(folder: Path, strict: bool, as_json: bool, verbose: bool) -> int:
    """Judge a run's recordings again; needs no guest.

    Computes all verdicts again from DIR/journal.jsonl and the recorded answers, and rewrites
    DIR/matrix.json and the reports.
    """
    with speaking():
        matrix = write_reports(folder)
    show(matrix, folder, as_json=as_json, verbose=verbose)
    missing = (*failed(matrix), *inconclusive(matrix)) if strict else ()
    for line in missing:
        complain(line)
    return ExitStatus.UNMEASURED if missing else ExitStatus.OK
