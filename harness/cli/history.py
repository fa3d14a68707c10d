"""`history`: shows how each cell changed over many runs."""

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
from harness.store.archive import OF_HISTORY, archive, night
from harness.store.runs import MATRIX, load
from harness.text import short

EPILOG = """\b
Examples:
  reuseport-matrix history nights/*               folders of runs, or matrix.json files
  reuseport-matrix history nights                 a folder that holds folders of runs
  reuseport-matrix history --db history.sqlite TODAY   adds a run to those kept in the file
  reuseport-matrix history --db history.sqlite    the runs kept in the file
  reuseport-matrix history nights --full          lists the cells that did not change, too
  reuseport-matrix history nights --guest linux-6.1 --scenario failure-queued
\b
A cell is flaky if its verdict changed twice or more on one release of the kernel. It is stale
if the newest run did not measure it. Ages count back from the newest run.
\b
Exit status: 0 whatever changed (use `diff` to fail on a change); 2 wrong usage or a bad file.
"""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, metavar="[DIR|FILE]...", type=click.Path(path_type=Path))
@click.option("--db", type=click.Path(path_type=Path), metavar="FILE", help="Keep the runs here.")
@click.option("--last", type=click.IntRange(1), metavar="N", help="Show the last N runs (30).")
@click.option("--guest", "guests", multiple=True, metavar="NAME", help="Show only this guest.")
@only_scenarios("Show only this scenario.")
@click.option("--full", "whole", is_flag=True, help="List the steady and new cells, too.")
@forms()
def history(
    *,
    paths: Sequence[Path],
    db: Path | None,
    last: int | None,
    guests: Sequence[str],
    scenarios: Sequence[str],
    whole: bool,
    form: str,
    as_json: bool,
) -> None:
    """Show how each cell changed over the last runs, and which cells are flaky or stale.

    Name folders of runs, folders that hold them, or matrix.json files. With --db, the runs kept
    in that file are shown, too. A run that is given twice counts once, also inside a merge.
    """
    if not paths and (db is None or not db.exists()):
        error = "name runs, or a file of runs with --db" if db is None else f"{db} does not exist"
        raise UsageError(error, hint="`history DIR... --db FILE` keeps runs in FILE")
    every = looked_at(nights(paths, db, last or WINDOW), last or WINDOW)
    found = _only(every, guests, scenarios)
    write_as(
        "json" if as_json else form,
        data=lambda: report.data(found),
        page=lambda: report.page(found, steady=whole),
        terminal=lambda width, paint: report.terminal(found, width, paint, whole=whole),
    )


def _only(found: History, guests: Sequence[str], scenarios: Sequence[str]) -> History:
    """Keep only the requested cells; raise `UsageError` for a name that no run contains."""
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


def nights(
    paths: Sequence[Path], db: Path | None, last: int, hint: str = OF_HISTORY
) -> list[PastRun]:
    """Return the named runs; with a file, add them to it and return the last ones it holds.

    `hint` says what to do about a file that cannot be used.
    """
    named = (night(load(*file), file[0]) for path in paths for file in _files(path))
    if db is None:
        return list(named)
    with archive(db, hint) as kept:
        if paths:  # without new runs the file is only read, so it may be write-protected
            kept.add(named)
        return list(kept.nights(last))


def _files(path: Path) -> Iterator[tuple[Path, Path | None]]:
    """Yield the matrix.json of a run, or of each run in a folder, and the run's folder.

    Warn about a run without a matrix.json.
    """
    if not path.is_dir():
        yield path, None
        return
    if (path / MATRIX).exists() or (path / JOURNAL).exists():
        yield path / MATRIX, path
        return
    found = sorted(path.glob(f"*/{MATRIX}"))
    for run in sorted({one.parent for one in path.glob(f"*/{JOURNAL}")}):
        if run / MATRIX not in found:
            text = f"{short(str(run))} is left out: it has no matrix.json; `judge` writes it"
            click.echo(text, err=True)
    if not found:
        hint = "name the folders of runs, or their matrix.json"
        raise FileError(path, None, "holds no run with a matrix.json", hint=hint)
    yield from ((file, file.parent) for file in found)
