"""`merge`: combines the runs of several machines into one matrix."""

from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.exit import ExitStatus
from harness.cli.output import WIDTH
from harness.cli.table import write_json
from harness.matrix import merge as merging
from harness.matrix.merge import Merged
from harness.report import merge as report
from harness.run.results import write_matrix
from harness.store.runs import load_matrix

EPILOG = """\b
Examples:
  reuseport-matrix merge linux mac -o all            writes a folder: matrix.json and reports
  reuseport-matrix merge */matrix.json -o all.json
  reuseport-matrix merge A B -o C --strict           exit 1 if two runs contradict each other
\b
Guests with the same name, system, release, machine and provider are one guest. The newest
measurement of a cell counts; if the verdicts differ, the cell is inconclusive and shows both.
Other guests with the same name, such as `host` on a Mac and on Linux, are renamed.
\b
Exit status: 0; with --strict 1 if runs contradict each other; 2 wrong usage or a bad file.
"""


@click.command(epilog=EPILOG)
@click.argument(
    "paths", nargs=-1, required=True, metavar="DIR|FILE...", type=click.Path(path_type=Path)
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE|DIR",
    help="A file that ends in .json, or a folder.",
)
@click.option("--strict", is_flag=True, help="Exit 1 if two runs contradict each other.")
@click.option("--json", "as_json", is_flag=True, help="List renamed guests and conflicts as JSON.")
def merge(paths: Sequence[Path], output: Path, strict: bool, as_json: bool) -> int:
    """Combine the matrices of several machines into one.

    Name folders of runs, or matrix.json files. Their order does not matter.
    """
    merged = merging.merge([load_matrix(path) for path in paths])
    write_matrix(output, merged.matrix)
    _say(merged, output, as_json)
    return ExitStatus.DIFFERS if strict and merged.conflicts else ExitStatus.OK


def _say(merged: Merged, output: Path, as_json: bool) -> None:
    for line in report.terminal(merged, WIDTH):
        click.echo(line, err=True)
    click.echo(f"written: {output}", err=True)
    if as_json:
        write_json(report.data(merged))
