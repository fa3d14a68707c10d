"""`claims`: compares what people say about these kernels with the measurements."""

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
  reuseport-matrix claims                      uses the newest run in this folder
  reuseport-matrix claims matrix-20260101-120000
  reuseport-matrix claims linux.json freebsd.json    uses several runs together
  reuseport-matrix claims DIR --json
"""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, metavar="[DIR|FILE]...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A list of id, state, cells, and more.")
def claims(paths: Sequence[Path], as_json: bool) -> None:
    """Show which claims about SO_REUSEPORT hold: CONFIRMED, REFUTED, MIXED or NOT TESTED.

    Name folders of runs, or matrix.json files; the default is the newest run in the current
    folder. A claim about a system that was not run is NOT TESTED.
    """
    if not paths:
        newest = latest_matrix(Path())
        click.echo(f"using {newest}" if newest else "found no run in this folder", err=True)
        paths = [newest] if newest else []
    found = settle(CLAIMS, [load_matrix(path) for path in paths])
    if as_json:
        write_json(findings.data(found))
        return
    width, colour = looks()
    for line in findings.terminal(findings.ordered(found), width, Paint(colour), whole=True):
        click.echo(line.rstrip(), color=True)
