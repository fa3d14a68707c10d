"""`diff`: shows what changed from one run to another, or from release to release in one run."""

from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.exit import ExitStatus
from harness.cli.options import forms
from harness.cli.output import write_as
from harness.errors import UsageError
from harness.matrix import Matrix
from harness.matrix.changes import Comparison, Kind, compare, compare_guests, releases
from harness.report import changes
from harness.run.nearest import unknown
from harness.store.runs import MATRIX, load_matrix
from harness.text import short

EPILOG = """\b
Examples:
  reuseport-matrix diff OLD NEW                 two runs, guest by guest
  reuseport-matrix diff baseline.json DIR --format markdown
  reuseport-matrix diff DIR                     one run: 5.10 against 6.1, 6.1 against 6.12, …
  reuseport-matrix diff ALL --from linux-6.1 --to freebsd-14
  reuseport-matrix diff OLD/linux-6.1 NEW/linux-6.12
  reuseport-matrix diff OLD NEW --json
\b
Exit status: 0 no verdict changed, even if other things did; 1 a verdict changed; 2 wrong usage
or a bad file; 3 no cell was measured in both runs, so nothing could be compared.
"""


@click.command(epilog=EPILOG)
@click.argument(
    "paths", nargs=-1, required=True, metavar="OLD [NEW]", type=click.Path(path_type=Path)
)
@click.option("--from", "old", metavar="GUEST", help="Compare this guest of OLD …")
@click.option("--to", "new", metavar="GUEST", help="… with this guest of NEW, or of the same run.")
@forms()
def diff(
    *, paths: Sequence[Path], old: str | None, new: str | None, form: str, as_json: bool
) -> int:
    """Show what changed: verdicts, shares, tunables, and which cells were measured.

    OLD and NEW are folders of runs, or their matrix.json. A verdict has changed if a cell was
    measured both times and the words differ; the counts in `reset:3/100` are not part of the word.
    With one run, each release of a system is compared with the next release in that run.

    To compare any two guests, name them with --from and --to, or write RUN/GUEST for OLD and NEW.
    """
    matrices, comparison = _compared(paths, old, new)
    write_as(
        "json" if as_json else form,
        data=lambda: changes.data(matrices, comparison),
        page=lambda: changes.page(matrices, comparison),
        terminal=lambda width, paint: changes.terminal(matrices, comparison, width, paint),
    )
    if not comparison.measured:
        return ExitStatus.UNMEASURED
    return ExitStatus.DIFFERS if comparison.count(Kind.CHANGED) else ExitStatus.OK


def _compared(
    paths: Sequence[Path], old: str | None, new: str | None
) -> tuple[list[Matrix], Comparison]:
    """Return what is compared, and its comparison; raise `UsageError` and `FileError`."""
    if len(paths) > 2:
        raise UsageError("diff compares two runs, or the releases in one", hint="diff OLD NEW")
    if (old is None) != (new is None):
        raise UsageError("--from and --to need each other", hint="diff RUN --from GUEST --to GUEST")
    sides = [_side(path) for path in paths]
    if old is not None and new is not None:
        if any(guest is not None for _, guest in sides):
            hint = "use either RUN/GUEST or --from and --to"
            raise UsageError("a guest is named twice", hint=hint)
        sides = [(sides[0][0], old), (sides[-1][0], new)]
    if all(guest is None for _, guest in sides):
        found = [matrix for matrix, _ in sides]
        return found, compare(*found) if len(found) == 2 else releases(found[0])
    if len(sides) == 1:
        raise UsageError(f"{paths[0]} is one guest: name another one", hint="diff A/GUEST B/GUEST")
    (one, first), (other, second) = sides
    both = [_guest(one, first or second), _guest(other, second or first)]
    return both, compare_guests(*both)


def _side(path: Path) -> tuple[Matrix, str | None]:
    """Read RUN, or RUN/GUEST: the matrix, and the guest if the path ends in one."""
    parent = path.parent
    if path.exists() or not (parent.is_file() or (parent / MATRIX).exists()):
        return load_matrix(path), None
    return load_matrix(parent), path.name


def _guest(matrix: Matrix, name: str | None) -> Matrix:
    if name is None or name not in matrix.guests:
        raise unknown(f"guest of run {short(matrix.run.id)}", str(name), matrix.guests)
    return matrix.only(name)
