"""Measures what a cluster costs: four guests over two workers of this machine, to `--jobs 2`.

    python -m benchmarks.cluster [--repeat N]

Both run alternately, in one sitting. It fills the caches first. Each line shows one pair; the last
line shows the median ratio of wall times and its goal.
"""

import contextlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks.speed import FOUR, by_harness, say
from harness.run.interruption import raising

GOAL = 1.05

PATIENCE = 60.0
"""Seconds for a process of the cluster to come up."""


@contextlib.contextmanager
def dask(folder: Path, name: str, said: str, *words: str) -> Iterator[str]:
    """Run a command of Dask during the block, after it has said this; yield its first group."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        argv = [sys.executable, "-m", "dask", *words]
        process = subprocess.Popen(argv, stdout=output, stderr=output, cwd=folder)
    try:
        until = time.monotonic() + PATIENCE
        while (found := re.search(said, log.read_text(errors="replace"))) is None:
            if process.poll() is not None or time.monotonic() > until:
                raise click.ClickException(log.read_text(errors="replace"))
            time.sleep(0.05)
        yield found[1]
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def two_workers() -> Iterator[str]:
    """Start a scheduler and two workers with one thread each; yield the scheduler's address."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        words = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        address = stack.enter_context(dask(folder, "scheduler", r"Scheduler at: +(\S+)", *words))
        for worker in ("one", "two"):
            options = ["--name", worker, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
            options += ["--memory-limit", "0", "--preload", "harness.cluster.preload"]
            joined = dask(folder, worker, r"Registered to: +(\S+)", "worker", address, *options)
            stack.enter_context(joined)
        yield address


@click.command()
@click.option("--repeat", default=3, show_default=True)
def main(repeat: int) -> None:
    """Compare a run over two workers with one that measures two guests at once."""
    by_harness(FOUR, "--quick", "--jobs", "2")
    ratios = []
    with raising(), two_workers() as address:  # TERM, too, ends the workers
        for _ in range(repeat):
            here = by_harness(FOUR, "--quick", "--jobs", "2")
            there = by_harness(FOUR, "--quick", "--cluster", address)
            ratios.append(there / here)
            say(f"four guests: two workers {there:.1f} s, --jobs 2 {here:.1f} s")
    say(f"four guests: two workers / --jobs 2 = {statistics.median(ratios):.2f} (goal {GOAL})")


if __name__ == "__main__":
    main()
