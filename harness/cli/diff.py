"""`diff`: shows what changed from one run to another, or from release to release in one run."""

from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.exit import ExitStatus
from harness.cli.options import forms
from harness.cli.output import write_as
from harness.errors import UsageError
from harness.matrix.changes import Kind, compare, releases
from harness.report import changes
from harness.store.runs import load_matrix

EPILOG = """\b
Examples:
  reuseport-matrix diff OLD NEW                 two runs, guest by guest
  reuseport-matrix diff baseline.json DIR --format markdown
  reuseport-matrix diff DIR                     one run: 5.10 against 6.1, 6.1 against 6.12, …
  reuseport-matrix diff OLD NEW --json
\b
Exit status: 0 no verdict changed, even if other things did; 1 a verdict changed; 2 wrong usage
or a bad file; 3 no cell was measured in both runs, so nothing could be compared.
"""


@click.command(epilog=EPILOG)
@click.argument(
    "paths", nargs=-1, required=True, metavar="OLD [NEW]", type=click.Path(path_type=Path)
)
@forms()
def diff(paths: Sequence[Path], form: str, as_json: bool) -> int:
    """Show what changed: verdicts, shares, tunables, and which cells were measured.

    OLD and NEW are folders of runs, or their matrix.json. A verdict has changed if a cell was
    measured both times and the words differ; the counts in `reset:3/100` are not part of the word.
    With one run, each release of a system is compared with the next release in that run.
    """
    if len(paths) > 2:
        raise UsageError("diff compares two runs, or the releases in one", hint="diff OLD NEW")
    matrices = [load_matrix(path) for path in paths]
    comparison = compare(*matrices) if len(matrices) == 2 else releases(matrices[0])
    write_as(
        "json" if as_json else form,
        data=lambda: changes.data(matrices, comparison),
        page=lambda: changes.page(matrices, comparison),
        terminal=lambda width, paint: changes.terminal(matrices, comparison, width, paint),
    )
    if not comparison.measured:
        return ExitStatus.UNMEASURED
    return ExitStatus.DIFFERS if comparison.count(Kind.CHANGED) else ExitStatus.OK
