"""A program that does the same work, and the comparison: taking turns, ratios of one sitting."""

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
"""Seconds for any one command of a peer's."""


class Peer(NamedTuple):
    """What it does, how to have it done once (in seconds), and our run of the same kernel."""

    does: str
    once: Callable[[], float]
    guest: str
    options: Sequence[str]
    goal: float


def timed(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[float, bytes]:
    """Return the wall time of a command that has to succeed, and what it said."""
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
    """Take turns, after one turn of each that fills the caches; say what each took."""
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
