"""`merge`: what several machines measured, as one matrix."""

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
  reuseport-matrix merge linux mac -o all            a folder: matrix.json and its reports
  reuseport-matrix merge */matrix.json -o all.json
  reuseport-matrix merge A B -o C --strict           exit 1 if two runs contradict each other
\b
Guests of one name are one guest if system, release, machine and provider are the same; then the
newest run's measurement counts, and where words differ the cell is inconclusive, with both.
Otherwise, as a Mac's and a Linux machine's `host`, each gets a name of its own.
\b
Exit status: 0; with --strict 1 if runs contradict each other; 2 usage or a bad file.
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
@click.option("--json", "as_json", is_flag=True, help="Say what was renamed and what conflicts.")
def merge(paths: Sequence[Path], output: Path, strict: bool, as_json: bool) -> int:
    """Join matrices of several machines into one.

    Reads the matrix.json of runs' folders, or the files themselves; the order in which they are
    named changes nothing.
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
