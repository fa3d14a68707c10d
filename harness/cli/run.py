"""`run`: measures guests, keeps what they said, shows them side by side."""

import math
from pathlib import Path

import click

from harness.cli.options import COLD, complete_guests, guest_folders, only_scenarios
from harness.model import Depth

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
    # Completion and --help import this module, and must not wait 0.4 s for what measures.
    from harness.cli.measure import RunOptions, measure
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
        RunOptions(
            request,
            jobs=jobs,
            timeout=timeout,
            baseline=baseline,
            as_json=flags["as_json"],
            verbose=flags["verbose"],
        )
    )
