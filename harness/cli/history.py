"""`history`: how each cell went over many runs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from harness.cli.options import forms, only_scenarios
from harness.cli.output import write_as
from harness.errors import FileError, UsageError
from harness.matrix.history import WINDOW, History, PastRun
from harness.matrix.history import history as looked_at
from harness.report import history as report
from harness.run.nearest import unknown
from harness.store import JOURNAL
from harness.store.archive import archive, night
from harness.store.runs import MATRIX, load
from harness.text import short

EPILOG = """\b
Examples:
  reuseport-matrix history nights/*               runs' folders, or matrix.json files
  reuseport-matrix history nights                 a folder of runs' folders
  reuseport-matrix history --db history.sqlite TODAY   keeps every run that it was ever given
  reuseport-matrix history --db history.sqlite    what is kept
  reuseport-matrix history nights --guest linux-6.1 --scenario failure-queued
\b
A cell is flaky if its word changed twice or more on one release of the kernel, stale if the
newest run did not measure it. Ages are from the newest run on.
\b
Exit status: 0 whatever the history is (`diff` judges); 2 usage or a bad file.
"""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, metavar="[DIR|FILE]...", type=click.Path(path_type=Path))
@click.option("--db", type=click.Path(path_type=Path), metavar="FILE", help="Keep the runs here.")
@click.option("--last", type=click.IntRange(1), metavar="N", help="Runs to look at (30).")
@click.option("--guest", "guests", multiple=True, metavar="NAME", help="Of this guest only.")
@only_scenarios("Of this scenario only.")
@forms()
def history(
    paths: Sequence[Path],
    db: Path | None,
    last: int | None,
    guests: Sequence[str],
    scenarios: Sequence[str],
    form: str,
    as_json: bool,
) -> None:
    """Say how each cell went over the last runs: how often its word came, what is flaky or stale.

    Reads runs' folders, folders of runs' folders, and matrix.json files; with --db also all runs
    that were given before. A run that comes twice counts once.
    """
    if not paths and (db is None or not db.exists()):
        error = "name runs, or a file of runs with --db" if db is None else f"there is no {db} yet"
        raise UsageError(error, hint="history DIR... --db FILE keeps runs in it")
    every = looked_at(nights(paths, db, last or WINDOW), last or WINDOW)
    found = _only(every, guests, scenarios)
    write_as(
        "json" if as_json else form,
        data=lambda: report.data(found),
        page=lambda: report.page(found),
        terminal=lambda width, paint: report.terminal(found, width, paint),
    )


def _only(found: History, guests: Sequence[str], scenarios: Sequence[str]) -> History:
    """Keep the cells that were asked for; raise `UsageError` for a name that no run has."""
    names = {"guest": {track.guest for track in found.tracks}}
    names["scenario"] = {track.cell.scenario for track in found.tracks}
    for what, asked in (("guest", guests), ("scenario", scenarios)):
        for name in asked:
            if name not in names[what]:
                raise unknown(f"{what} in these runs", name, sorted(names[what]))
    tracks = tuple(
        track
        for track in found.tracks
        if (not guests or track.guest in guests)
        and (not scenarios or track.cell.scenario in scenarios)
    )
    return msgspec.structs.replace(found, tracks=tracks)


def nights(paths: Sequence[Path], db: Path | None, last: int) -> list[PastRun]:
    """Return the runs that are named, or with a file the last ones that it knows after them."""
    named = (night(load(file), file) for path in paths for file in _files(path))
    if db is None:
        return list(named)
    with archive(db) as kept:
        if paths:  # a file that may not be written can be looked at
            kept.add(named)
        return list(kept.nights(last))


def _files(path: Path) -> Iterator[Path]:
    """Yield a run's matrix.json, or those of a folder of runs; say which run has none."""
    if not path.is_dir() or (path / MATRIX).exists() or (path / JOURNAL).exists():
        yield path / MATRIX if path.is_dir() else path
        return
    found = sorted(path.glob(f"*/{MATRIX}"))
    for run in sorted({one.parent for one in path.glob(f"*/{JOURNAL}")}):
        if run / MATRIX not in found:
            text = f"{short(str(run))} is left out: `judge` makes its matrix.json"
            click.echo(text, err=True)
    if not found:
        hint = "name runs' folders or their matrix.json"
        raise FileError(path, None, "holds no run that has a matrix.json", hint=hint)
    yield from found
