"""`run`: measures guests, keeps their answers, and shows them side by side."""

import math
from pathlib import Path

import click

from harness.cli.options import (
    COLD,
    at_once,
    cluster_options,
    complete_guests,
    guest_folders,
    only_scenarios,
    only_servers,
    server_choice,
    server_folders,
    strict,
)
from harness.model import Depth

EPILOG = """\b
Examples:
  reuseport-matrix run                          all guests that can start here, quick catalogue
  reuseport-matrix run host --quick
  reuseport-matrix run linux-6.1 --scenario distribution --scenario failure-queued
  reuseport-matrix run all --full --jobs 2 --out results
  reuseport-matrix run linux-6.1 --full --shards 2   two copies share its cells
  reuseport-matrix run --resume --out results   asks only for the missing cells
  reuseport-matrix run --guests DIR my-kernel   a guest file of your own
  reuseport-matrix run host linux-6.1 --server nginx --server haproxy
  reuseport-matrix run host --servers           every server: what does its restart lose?
  reuseport-matrix run all --cluster tls://lab:8786   on the machines of a Dask cluster
  reuseport-matrix run --baseline results/matrix.json
  reuseport-matrix run --baseline expected.yaml   with known differences: reason, expiry date
\b
Exit status: 0 every cell was asked and got an answer, also one that is inconclusive (with
--strict that is 3); 1 a verdict differs from the baseline (1 takes precedence over 3); 2 wrong
usage or a bad file; 3 something could not be measured; 70 a bug in this program; 130 interrupted,
measured cells are kept.
"""


QUICK = (
    "The short catalogue (default): up to 106 cells a guest, about 10 s on this machine's own"
    " kernel, 1 to 5 minutes in a VM without hardware acceleration."
)
FULL = (
    "The whole catalogue, as `nightly` uses: up to 1619 cells a guest, 10 minutes to an hour in"
    " such a VM."
)
"""Measured; tests/test_cli.py compares the numbers of cells with the catalogue."""


def _seconds(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    """Reject `nan`: every comparison with it is false, so the range check lets it pass."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("nan is not a number of seconds.")
    return value


@click.command(epilog=EPILOG)
@click.argument("names", nargs=-1, metavar="[GUEST]...", shell_complete=complete_guests)
@only_scenarios("Measure only this scenario; may be given more than once.")
@only_servers()
@server_folders()
@click.option("--quick", "depth", flag_value="quick", help=QUICK)
@click.option("--full", "depth", flag_value="full", help=FULL)
@at_once()
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="The run's folder.")
@guest_folders()
@click.option("--provider", metavar="P", help="Use only this provider to start the guests.")
@cluster_options()
@click.option("--keep", is_flag=True, help="Leave the guests up; `stop` ends them.")
@click.option("--cold", is_flag=True, help=COLD)
@click.option("--resume", is_flag=True, help="Measure the missing cells of --out or the last run.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    callback=_seconds,
    metavar="S",
    help="End the run after this many seconds; measured cells are kept.",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Exit 1 if a verdict differs from this matrix.json or YAML file.",
)
@strict()
@click.option("--json", "as_json", is_flag=True, help="Write matrix.json to standard output.")
@click.option("-v", "--verbose", is_flag=True, help="More messages; counts behind each verdict.")
def run(
    *,
    names: tuple[str, ...],
    scenarios: tuple[str, ...],
    servers: tuple[str, ...],
    server_folders: tuple[str, ...],
    depth: str | None,
    jobs: int | None,
    shards: int | None,
    out: Path | None,
    folders: tuple[Path, ...],
    provider: str | None,
    cluster: str | None,
    timeout: float | None,
    baseline: Path | None,
    **flags: bool,
) -> int:
    """Measure guests and show them side by side.

    GUEST is the name of a guest, the name of a system (linux: all its releases), `all`, or
    `available` (the default): all guests that this machine can start without downloading a disk
    image.
    """
    # Completion and --help import this module and need not wait 0.4 s for these imports.
    from harness.cli.measure import RunOptions, measure
    from harness.run.plan import Request

    request = Request(
        names=names,
        scenarios=scenarios,
        servers=server_choice(servers, server_folders),
        depth=Depth(depth) if depth is not None else None,
        folders=folders,
        out=out,
        provider=provider,
        keep=flags["keep"],
        cold=flags["cold"],
        resume=flags["resume"],
        shards=shards,
    )
    return measure(
        RunOptions(
            request,
            jobs=jobs,
            timeout=timeout,
            baseline=baseline,
            as_json=flags["as_json"],
            verbose=flags["verbose"],
            strict=flags["strict"],
            cluster=cluster,
            without_tls=flags["cluster_without_tls"],
        )
    )
