"""`nightly`: measures everything, keeps the run, and reports what changed since the last one."""

import time
from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.exit import ExitStatus, complain, complain_of
from harness.cli.history import nights
from harness.cli.measure import RunOptions, measure
from harness.cli.options import (
    at_once,
    cluster_options,
    complete_guests,
    guest_folders,
    only_servers,
    server_choice,
    server_folders,
    strict,
)
from harness.cli.output import for_terminal
from harness.cli.table import write_json
from harness.errors import FileError, HarnessError
from harness.machine import cache
from harness.machine.places import Places
from harness.matrix.changes import compare
from harness.matrix.history import WINDOW, Stability, history
from harness.matrix.merge import merge
from harness.matrix.missing import inconclusive
from harness.model import Depth, State
from harness.report import changes, summary
from harness.report.merge import sentences
from harness.report.report import Report
from harness.report.summary import NightReport
from harness.run.names import known_scenarios
from harness.run.plan import Request
from harness.run.results import REPORT, write_merge
from harness.store import make_folder, replace
from harness.store.archive import check_archive
from harness.store.pruning import prune_runs
from harness.store.runs import MATRIX, complete, fresh, load, load_matrix

HISTORY = "history.sqlite"

OTHER_HISTORY = "move it away: a new history begins then; or name another folder with --folder"

EPILOG = """\b
Examples:
  reuseport-matrix nightly                           all guests that can start here
  reuseport-matrix nightly linux freebsd --folder /srv/nights --jobs 2
  reuseport-matrix nightly host --quick --baseline expected.yaml
  reuseport-matrix nightly --keep-runs 60            removes older runs, keeps the history
  reuseport-matrix nightly --of linux --of mac       merges the runs of other machines
\b
The folder holds runs/matrix-*/ (each as `run` writes it), history.sqlite, summary.md (a step
summary for CI) and the report.html of the newest run.
\b
Exit status: that of `run` (an inconclusive cell is 0, with --strict 3), and 1 if a verdict
changed since the last complete run.
"""


@click.command(epilog=EPILOG)
@click.argument("names", nargs=-1, metavar="[GUEST]...", shell_complete=complete_guests)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("nightly"),
    show_default=True,
    help="The folder that keeps the runs and their history.",
)
@click.option(
    "--of",
    "measured",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR|FILE",
    help="Measure nothing: merge runs of other machines; may be given more than once.",
)
@click.option("--quick", "depth", flag_value="quick", help="The short catalogue.")
@click.option("--full", "depth", flag_value="full", help="The whole catalogue (default).")
@only_servers()
@server_folders()
@at_once()
@guest_folders()
@cluster_options()
@click.option("--baseline", type=click.Path(path_type=Path), metavar="FILE", help="See `run`.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="S", help="See `run`.")
@click.option("--keep-runs", type=click.IntRange(1), metavar="N", help="Keep only the last N runs.")
@strict()
@click.option("--json", "as_json", is_flag=True, help="Write a summary as JSON, not the matrix.")
def nightly(
    *,
    names: Sequence[str],
    folder: Path,
    measured: Sequence[Path],
    depth: str | None,
    jobs: int | None,
    shards: int | None,
    folders: Sequence[Path],
    servers: Sequence[str],
    server_folders: Sequence[str],
    cluster: str | None,
    baseline: Path | None,
    timeout: float | None,
    keep_runs: int | None,
    **flags: bool,
) -> int:
    """Measure, keep the run, and report what changed since the last complete run.

    GUEST is as with `run`. The default is all guests that this machine can start without
    downloading a disk image. With --server or --servers, servers are restarted besides.
    """
    make_folder(folder / "runs")
    check_archive(folder / HISTORY, OTHER_HISTORY)  # before a night is spent on it
    out = fresh(folder / "runs", time.gmtime())
    chosen = server_choice(servers, server_folders)
    request = Request(
        names=tuple(names),
        scenarios=() if chosen.none else known_scenarios(()),
        servers=chosen,
        depth=Depth(depth or "full"),
        folders=tuple(folders),
        out=out,
        shards=shards,
        cold=True,  # a kernel draws its hash seeds at boot, so each night uses others
    )
    strict = flags["strict"]
    asked = RunOptions(
        request,
        jobs=jobs,
        timeout=timeout,
        baseline=baseline,
        shown=False,
        strict=strict,
        cluster=cluster,
        without_tls=flags["cluster_without_tls"],
    )
    status, sentences = _joined(measured, out, strict=strict) if measured else _measured(asked)
    if not (out / MATRIX).exists():
        return status
    night = _looked_at(folder, out, _sentence(status, sentences))
    _write(folder, out, night)
    for run in prune_runs(folder / "runs", keep_runs) if keep_runs is not None else ():
        click.echo(f"removed {run}", err=True)
    cache.prune(Places.of_user())
    _say(folder, out, night, as_json=flags["as_json"])
    if night.changed and status in (ExitStatus.OK, ExitStatus.UNMEASURED):
        return ExitStatus.DIFFERS
    return status


def _measured(asked: RunOptions) -> tuple[ExitStatus, list[str]]:
    """Measure; if an error ends the run, return it so that the summary can report it."""
    try:
        return measure(asked), []
    except HarnessError as exc:
        complain_of(exc)
        return ExitStatus.of(exc), [str(exc)]


def _joined(measured: Sequence[Path], out: Path, *, strict: bool) -> tuple[ExitStatus, list[str]]:
    """Merge runs of other machines; raise `FileError` for a path that is not a run."""
    merged = merge([load_matrix(path) for path in measured])
    write_merge(out, merged.matrix, measured)
    unclear = inconclusive(merged.matrix) if strict else ()
    said = [*sentences(merged), *unclear]
    for sentence in said:
        complain(sentence)
    failed = any(cell.state is State.INFRASTRUCTURE for cell in merged.matrix.cells)
    return ExitStatus.UNMEASURED if failed or unclear else ExitStatus.OK, said


def _sentence(status: ExitStatus, sentences: Sequence[str]) -> tuple[str, ...]:
    said = {
        ExitStatus.DIFFERS: "A verdict differs from the baseline; junit.xml names it.",
        ExitStatus.UNMEASURED: "Something could not be measured.",
        ExitStatus.INTERRUPTED: "The run was interrupted; measured cells are kept.",
    }
    return (*sentences, *([said[status]] if status in said else []))


def _looked_at(folder: Path, out: Path, sentences: tuple[str, ...]) -> NightReport:
    """Compare the night with the last complete one, and with the history of all nights."""
    report = Report(load_matrix(out), complete(out))
    try:
        kept = nights([out], folder / HISTORY, WINDOW, OTHER_HISTORY)
    except FileError as exc:  # the night is not lost because of it
        complain_of(exc)
        kept = nights([out], None, WINDOW)
        sentences = (*sentences, f"The history of the other nights is left out: {exc}")
    comparison = None if report.before is None else compare(report.before, report.matrix)
    return NightReport(report, history(kept), sentences, comparison)


def _write(folder: Path, out: Path, night: NightReport) -> None:
    replace(folder / "summary.md", summary.render(night).encode())
    replace(folder / REPORT, load(out / REPORT))


def _say(folder: Path, out: Path, night: NightReport, *, as_json: bool) -> None:
    before, comparison = night.report.before, night.comparison
    if as_json:
        counts = {one: len(night.history.of(one)) for one in Stability}
        since = before.run.id if before is not None else None
        write_json(
            {
                "run": night.report.matrix.run,
                "folder": str(out),
                "since": since,
                "changed": night.changed,
                "history": counts,
                "said": night.sentences,
            }
        )
    else:
        click.echo(for_terminal(night.report.matrix, verbose=False), nl=False, color=True)
    if comparison is None:
        click.echo("there is no complete run before this one to compare with", err=True)
    else:
        click.echo(f"since the run before: {changes.summary(comparison)}", err=True)
    if night.changed:
        complain(f"{night.changed} verdicts changed", hint=f"see {folder / 'summary.md'}")
    for name in ("summary.md", "report.html"):
        click.echo(f"{name.partition('.')[0]}: {folder / name}", err=True)
