"""A program that does the same work as ours, and the comparison: they take turns in one sitting."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import click

from benchmarks.speed import by_harness, say
from harness.deadline import Deadline
from harness.machine.process import ToolTimeoutError, execute

SCENARIO = "sharing"

ASKED = ("--scenario", SCENARIO, "--quick")

PATIENCE = 1800.0
"""Limit in seconds for one command of a peer."""


class Peer(NamedTuple):
    """A description, a function that does the work once (in seconds), and our matching run."""

    does: str
    once: Callable[[], float]
    guest: str
    options: Sequence[str]
    goal: float


def timed(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[float, bytes]:
    """Return the wall time of a command, and its output; raise if it fails."""
    began = time.monotonic()
    try:
        done = execute(argv, Deadline(PATIENCE), environment=environment)
    except ToolTimeoutError as exc:
        raise click.ClickException(str(exc)) from exc
    if done.status:
        said = (done.stderr + done.stdout).decode(errors="replace")
        raise click.ClickException(f"{argv[0]}: status {done.status}\n{said}")
    return time.monotonic() - began, done.stdout


def compare(name: str, peer: Peer, repeat: int) -> None:
    """Measure both in turn, after one turn each to fill the caches; print the times and ratios."""
    ours = partial(by_harness, [peer.guest], *peer.options, *ASKED)
    peer.once()
    ours()
    ratios: dict[str, list[float]] = {"cold": [], "warm": []}
    for _ in range(repeat):
        theirs, cold, warm = peer.once(), ours("--cold"), ours()
        ratios["cold"].append(cold / theirs)
        ratios["warm"].append(warm / theirs)
        say(f"{peer.does} {theirs:.1f} s; a run cold {cold:.2f} s, warm {warm:.2f} s")
    for start, found in ratios.items():
        say(f"{start} run / {name} = {statistics.median(found):.2f} (goal {peer.goal})")
