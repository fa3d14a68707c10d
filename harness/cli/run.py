"""`run`: measures guests, keeps what they said, shows them side by side."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from harness.cli.exit import Exit, complain
from harness.run.names import COLD, complete_guests, guest_folders, only_scenarios

if TYPE_CHECKING:
    from harness.machine.places import Places
    from harness.matrix import Matrix
    from harness.matrix.baseline import Baseline, Verdict
    from harness.run.interruption import Interruption
    from harness.run.plan import Plan, Request

EPILOG = """\b
Examples:
  reuseport-matrix run                          what this machine can start, quickly
  reuseport-matrix run host --quick
  reuseport-matrix run linux-6.1 --scenario distribution --scenario failure-queued
  reuseport-matrix run all --full --jobs 2 --out results
  reuseport-matrix run --resume --out results   asks only what is missing
  reuseport-matrix run --guests DIR my-kernel   a guest file of your own
  reuseport-matrix run --baseline results/matrix.json
  reuseport-matrix run --baseline expected.yaml   with known differences, their reasons and ends
\b
Exit status: 0 all that was asked for was measured; 1 a verdict differs from the
baseline (this comes before 3); 2 usage or a bad file; 3 something asked for could
not be measured; 130 interrupted, what was measured is kept.
"""


def _seconds(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    """Refuse `nan`, which no comparison of a range sees and no clock ever reaches."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("nan is no number of seconds.")
    return value


@click.command(epilog=EPILOG)
@click.argument("names", nargs=-1, metavar="[GUEST]...", shell_complete=complete_guests)
@only_scenarios("Ask this scenario only; may be given more than once.")
@click.option("--quick", "depth", flag_value="quick", help="A developer's catalogue (default).")
@click.option("--full", "depth", flag_value="full", help="The nightly catalogue.")
@click.option("--jobs", type=click.IntRange(1, 256), metavar="N", help="Guests at once.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="The run's folder.")
@guest_folders()
@click.option("--provider", metavar="P", help="Let this provider start the guests, no other.")
@click.option("--keep", is_flag=True, help="Leave the guests up; `stop` ends them.")
@click.option("--cold", is_flag=True, help=COLD)
@click.option("--resume", is_flag=True, help="Ask what is missing in --out, or in the last run.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    callback=_seconds,
    metavar="S",
    help="End after so many seconds; what was measured is kept.",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Exit 1 if a verdict is not as this matrix.json or YAML file says.",
)
@click.option("--json", "as_json", is_flag=True, help="Write matrix.json to standard output.")
@click.option("-v", "--verbose", is_flag=True, help="More talk, and the counts behind each word.")
def run(
    *,
    names: tuple[str, ...],
    scenarios: tuple[str, ...],
    depth: str | None,
    jobs: int | None,
    out: Path | None,
    folders: tuple[Path, ...],
    provider: str | None,
    timeout: float | None,
    baseline: Path | None,
    **flags: bool,
) -> int:
    """Measure guests and show them side by side.

    GUEST is a guest's name, a system's (linux: all its releases), `all`, or `available`: what
    this machine can start without downloading the image of a disk, which is also the default.
    """
    from harness.model import Depth
    from harness.run.plan import Request

    request = Request(
        names=names,
        scenarios=scenarios,
        depth=Depth(depth) if depth is not None else None,
        folders=folders,
        out=out,
        provider=provider,
        keep=flags["keep"],
        cold=flags["cold"],
        resume=flags["resume"],
    )
    return measure(
        Asked(
            request,
            jobs=jobs,
            timeout=timeout,
            baseline=baseline,
            as_json=flags["as_json"],
            verbose=flags["verbose"],
        )
    )


class Asked(Struct, frozen=True):
    """What a run is asked for beside its plan; `shown`: the matrix goes to standard output."""

    request: "Request"
    jobs: int | None = None
    timeout: float | None = None
    baseline: Path | None = None
    shown: bool = True
    as_json: bool = False
    verbose: bool = False


def measure(asked: Asked) -> Exit:
    """Measure, write the reports, say what is wrong; return how it went."""
    from harness import leases
    from harness.cli.output import held, show
    from harness.machine.places import Places
    from harness.run.baseline_file import load_baseline
    from harness.run.interruption import listening
    from harness.run.outcome import unmeasured
    from harness.run.plan import plan

    until = time.monotonic() + asked.timeout if asked.timeout is not None else None
    expected = load_baseline(asked.baseline) if asked.baseline is not None else None
    places = Places.of_user()
    with listening() as interruption:
        leases.gc(places)
        settled = plan(asked.request, places)
        matrix = _measured(asked, settled, places, interruption, until, expected)
        if asked.shown:
            show(matrix, settled.folder, as_json=asked.as_json, verbose=asked.verbose)
    if interruption.signal is not None:
        complain("interrupted; what was measured is kept", hint="--resume asks what is missing")
        return Exit.INTERRUPTED
    verdict = held(matrix, expected)
    changed = _said(verdict) if verdict is not None else ()
    missing = unmeasured(settled, matrix)
    for line in (*changed, *missing):
        complain(line)
    if changed:
        return Exit.DIFFERS
    return Exit.UNMEASURED if missing else Exit.OK


def _said(verdict: "Verdict") -> tuple[str, ...]:
    """Say what is known and what met nothing; return what contradicts the baseline."""
    from harness.matrix.baseline import Outcome
    from harness.text import short

    for one in verdict.held:
        if one.outcome is Outcome.KNOWN:
            click.echo(f"known: {short(one.sentence)}", err=True)
    for known in verdict.unused:
        click.echo(f"no cell of this run is meant by: {short(known.label)}", err=True)
    if not verdict.compared:
        click.echo("nothing in this run can be compared with the baseline", err=True)
    return tuple(one.sentence for one in verdict.contradictions)


def _measured(
    asked: Asked,
    settled: "Plan",
    places: "Places",
    interruption: "Interruption",
    until: float | None,
    expected: "Baseline | None",
) -> "Matrix":
    """Measure, and write the reports whatever happens: what was measured is not lost."""
    from harness.cli.output import write_reports
    from harness.deadline import Cancellation
    from harness.machine import capacity
    from harness.machine.capacity import Turns
    from harness.run.fleet import Fleet, jobs_for
    from harness.run.progress import following
    from harness.store import Store

    begin = Store.resume if settled.resumed else Store.create
    names = [candidate.guest.name for candidate in settled.candidates]
    store = begin(settled.folder, settled.begun)
    try:
        with store, following(names, verbose=asked.verbose) as face:
            turns = Turns(capacity.cores())
            fleet = Fleet(settled, store, places, face, Cancellation(), turns)
            jobs = jobs_for(asked.jobs, settled.candidates, places)
            fleet.measure(jobs, interruption, until)
    finally:
        matrix = write_reports(settled.folder, expected)
    return matrix
