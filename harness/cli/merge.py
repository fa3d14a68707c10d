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
from harness.run.results import write_merge
from harness.store.runs import load_matrix
from harness.text import short

EPILOG = """\b
Examples:
  reuseport-matrix merge linux mac -o all            a folder: matrix.json, reports, recordings
  reuseport-matrix merge all bsd -o all              adds a run to an earlier merge
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
@click.option("--force", is_flag=True, help="Replace another merge that is already there.")
@click.option("--strict", is_flag=True, help="Exit 1 if two runs contradict each other.")
@click.option("--json", "as_json", is_flag=True, help="List renamed guests and conflicts as JSON.")
def merge(*, paths: Sequence[Path], output: Path, force: bool, strict: bool, as_json: bool) -> int:
    """Combine the matrices of several machines into one.

    Name folders of runs, or matrix.json files. Their order does not matter. The recordings behind
    the cells are copied into the folder, to runs/RUN.
    """
    merged = merging.merge([load_matrix(path) for path in paths])
    apart = write_merge(output, merged.matrix, paths, force=force)
    _say(merged, output, as_json)
    _say_apart(apart, output)
    return ExitStatus.DIFFERS if strict and merged.conflicts else ExitStatus.OK


def _say(merged: Merged, output: Path, as_json: bool) -> None:
    for line in report.terminal(merged, WIDTH):
        click.echo(line, err=True)
    click.echo(f"written: {output}", err=True)
    if as_json:
        write_json(report.data(merged))


def _say_apart(apart: Sequence[str], output: Path) -> None:
    if output.suffix == ".json":
        click.echo("the recordings stay with the runs; `-o FOLDER` takes them along", err=True)
        return
    for run in apart:
        click.echo(f"no recordings of run {short(run)} were found", err=True)
