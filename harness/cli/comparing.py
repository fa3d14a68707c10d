"""`diff`: what changed from one run to another, or from release to release in one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.changes import Comparison
    from harness.matrix import Matrix

DIFF_EPILOG = """\b
Examples:
  reuseport-matrix diff OLD NEW                 two runs, guest by guest
  reuseport-matrix diff baseline.json DIR --format markdown
  reuseport-matrix diff DIR                     one run: 5.10 against 6.1, 6.1 against 6.12, …
  reuseport-matrix diff OLD NEW --json
\b
Exit status: 0 no verdict changed, whatever else did; 1 a verdict changed; 2 usage or a bad
file; 3 no cell was measured both times, so that nothing could be compared.
"""


@click.command(epilog=DIFF_EPILOG)
@click.argument(
    "paths", nargs=-1, required=True, metavar="OLD [NEW]", type=click.Path(path_type=Path)
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "markdown", "json"]),
    default="terminal",
    help="What to write.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def diff(paths: Sequence[Path], form: str, as_json: bool) -> int:
    """Say what changed: verdicts, shares, tunables, and what was or was not measured.

    OLD and NEW are runs' folders or their matrix.json. A verdict changed where a cell was measured
    both times and the words differ; the counts in `reset:3/100` are no part of the word. With one
    run, each release of a system is compared with the next one that was measured.
    """
    from harness.changes import Kind, compare, releases
    from harness.cli.exit import Exit
    from harness.cli.output import load_matrix
    from harness.errors import UsageError

    if len(paths) > 2:
        raise UsageError("diff compares two runs, or the releases in one", hint="diff OLD NEW")
    matrices = [load_matrix(path) for path in paths]
    comparison = compare(*matrices) if len(matrices) == 2 else releases(matrices[0])
    _show("json" if as_json else form, matrices, comparison)
    if not comparison.measured:
        return Exit.UNMEASURED
    return Exit.DIFFERS if comparison.count(Kind.CHANGED) else Exit.OK


def _show(form: str, matrices: "Sequence[Matrix]", comparison: "Comparison") -> None:
    from harness.cli.output import looks
    from harness.cli.table import write_json
    from harness.report import changes
    from harness.report.text import Paint

    if form == "json":
        write_json(changes.data(matrices, comparison))
        return
    width, colour = looks()
    lines = (
        changes.page(matrices, comparison)
        if form == "markdown"
        else changes.terminal(matrices, comparison, width, Paint(colour))
    )
    for line in lines:
        click.echo(line.rstrip(), color=True)
