"""Measures for `run` and `nightly`: from a request to the reports and the messages about them."""

import time
from collections.abc import Mapping
from pathlib import Path

import click
from msgspec import Struct

from harness import leases
from harness.cli.cluster import machines_for
from harness.cli.exit import ExitStatus, complain
from harness.cli.output import show
from harness.deadline import Cancellation
from harness.machine.places import Places
from harness.matrix import Matrix
from harness.matrix.baseline import Baseline, BaselineCheck, Outcome
from harness.matrix.missing import inconclusive
from harness.run.baseline_file import load_baseline
from harness.run.errands import errands_of, labels
from harness.run.fleet import Fleet
from harness.run.interruption import Interruption, listening
from harness.run.outcome import unmeasured
from harness.run.plan import Plan, Request, plan
from harness.run.progress import following
from harness.run.results import held, write_reports
from harness.store import Store
from harness.text import short

LOST = "measured cells are kept; --resume measures the rest, with or without --cluster"


class RunOptions(Struct, frozen=True):
    """The options of a run that are not part of its plan.

    `shown`: print the matrix. `strict`: an inconclusive cell counts as one that was not measured.
    `cluster` is the address of a Dask scheduler; `without_tls` allows one beyond this machine.
    """

    request: Request
    jobs: int | None = None
    timeout: float | None = None
    baseline: Path | None = None
    shown: bool = True
    as_json: bool = False
    verbose: bool = False
    strict: bool = False
    cluster: str | None = None
    without_tls: bool = False


def measure(asked: RunOptions) -> ExitStatus:
    """Measure, write the reports, print what is wrong; return the exit status."""
    until = time.monotonic() + asked.timeout if asked.timeout is not None else None
    expected = load_baseline(asked.baseline) if asked.baseline is not None else None
    places = Places.of_user()
    with (
        listening() as interruption,
        machines_for(asked.request, asked.cluster, without_tls=asked.without_tls) as machines,
    ):
        leases.gc(places)
        settled = plan(asked.request, places, machines)
        matrix, given_up = _measured(asked, settled, places, interruption, until, expected)
        if asked.shown:
            show(matrix, settled.folder, as_json=asked.as_json, verbose=asked.verbose)
    if interruption.signal is not None:
        complain("interrupted; measured cells are kept", hint="--resume measures the missing cells")
        return ExitStatus.INTERRUPTED
    verdict = held(matrix, expected)
    changed = _said(verdict) if verdict is not None else ()
    missing = (
        *unmeasured(settled, matrix, given_up),
        *(inconclusive(matrix) if asked.strict else ()),
    )
    for line in (*changed, *missing):
        complain(line)
    if given_up:
        click.echo(f"hint: {LOST}", err=True)
    if changed:
        return ExitStatus.DIFFERS
    return ExitStatus.UNMEASURED if missing else ExitStatus.OK


def _said(verdict: BaselineCheck) -> tuple[str, ...]:
    """Print known differences and unused entries; return what contradicts the baseline."""
    for one in verdict.held:
        if one.outcome is Outcome.KNOWN:
            click.echo(f"known: {short(one.sentence)}", err=True)
    for known in verdict.unused:
        text = f"this baseline entry matches no cell of this run: {short(known.label)}"
        click.echo(text, err=True)
    if not verdict.compared:
        click.echo("no cell of this run can be compared with the baseline", err=True)
    return tuple(one.sentence for one in verdict.contradictions)


def _measured(
    asked: RunOptions,
    settled: Plan,
    places: Places,
    interruption: Interruption,
    until: float | None,
    expected: Baseline | None,
) -> tuple[Matrix, Mapping[str, str]]:
    """Measure, and write the reports even after an error, so that no measured cell is lost.

    Return the guests that were given up, too, with the reason.
    """
    begin = Store.resume if settled.resumed else Store.create
    errands = errands_of(settled)
    store = begin(settled.folder, settled.begun)
    try:
        with store, following(labels(settled, errands), verbose=asked.verbose) as face:
            fleet = Fleet(settled, errands, store, places, face, Cancellation())
            given_up = fleet.measure(asked.jobs, interruption, until)
    finally:
        matrix = write_reports(settled.folder, expected)
    return matrix, given_up
