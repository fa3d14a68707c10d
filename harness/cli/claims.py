"""`claims`: what is said of these kernels, and what was measured of it."""

from collections.abc import Sequence
from pathlib import Path

import click

from harness.claims import CLAIMS, settle
from harness.cli.output import looks
from harness.cli.table import write_json
from harness.report import findings
from harness.store.runs import latest_matrix, load_matrix
from harness.text import Paint

EPILOG = """\b
Examples:
  reuseport-matrix claims                      by the newest run in this folder
  reuseport-matrix claims matrix-20260101-120000
  reuseport-matrix claims linux.json freebsd.json    by several, taken together
  reuseport-matrix claims DIR --json
"""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, metavar="[DIR|FILE]...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A list of id, state, cells, and more.")
def claims(paths: Sequence[Path], as_json: bool) -> None:
    """Say which claims about SO_REUSEPORT hold: CONFIRMED, REFUTED, MIXED or NOT TESTED.

    By the matrix.json of runs' folders, or the files themselves; by the newest run in this
    folder if none is named. A claim about a system that was not run is NOT TESTED.
    """
    if not paths:
        newest = latest_matrix(Path())
        click.echo(f"by {newest}" if newest else "there is no run here to tell by", err=True)
        paths = [newest] if newest else []
    found = settle(CLAIMS, [load_matrix(path) for path in paths])
    if as_json:
        write_json(findings.data(found))
        return
    width, colour = looks()
    for line in findings.terminal(found, width, Paint(colour), whole=True):
        click.echo(line.rstrip(), color=True)
