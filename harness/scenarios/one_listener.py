"""`one-listener`: all workers inherited one socket without any option; which of them serves?"""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

from harness.model import Cell, Depth, Judgement, State
from harness.scenarios.grid import Numbers, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import DEPENDS, FACT, Sense
from harness.scenarios.tally import measured, server, tally, too_few, unclear
from harness.wire.observation import Observation
from harness.wire.script import DueAttempt, DueFlows, Script

ID = "one-listener"

WAITS = ("accept", "poll", "epoll", "epoll-exclusive", "kqueue")
"""How a worker waits: in accept(2), or for an event by one of the others."""

IN_TURN = 0.10
"""At most this share of the connections reached the same worker as the one before: turns are kept.
A fair draw among four workers gives 0.25, and fewer than 0.10 of 600 once in 10^19 runs."""

ANY = 0.15
"""At least this share did: no turns are kept. What is between has no verdict."""

ENOUGH = 200
"""Connections for which a fair draw is not taken for turns, with a chance below 1e-7."""


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario: none in a quick run, as no option is at stake."""
    rows = {"option": "none", "protocol": "tcp", "family": "ipv4", "bind": "specific"}
    return () if depth is Depth.QUICK else table(ID, ({**rows, "wait": wait} for wait in WAITS))


def script(_: Mapping[str, str]) -> Script:
    """Return what a whole answer consists of: there is one socket, and so no members."""
    return Script((DueAttempt("listener", needed=True), DueFlows("all")))


def classify(seen: Observation) -> Judgement:
    """Say whether the workers are served in turn.

    Who accepts is a race between processes, and how one race ends depends on the one before. So no
    test for independent draws fits, and shares differ from run to run. Turns are plain to see.
    """
    attempt = seen.attempts[0]
    if attempt.error is not None:
        why = f"the one listener was refused: {attempt.call} {attempt.error}"
        return Judgement(State.NOT_APPLICABLE, why=why)
    everything = tally(seen.phase("all"))
    if (loss := everything.loss()) is not None:
        return unclear(loss, everything.counts())
    servers = [one for one in map(server, seen.phase("all").fates) if one is not None]
    if len(servers) < ENOUGH:
        why = too_few(len(servers), "tell turns from a draw")
        return unclear(why, everything.counts())
    again = sum(now == before for before, now in pairwise(servers))
    busiest = Counter(servers).most_common(1)[0][1]
    counts = {**everything.counts(), "again": again, "busiest": busiest}
    share = again / max(1, len(servers) - 1)
    figures = {"largest_share": busiest / len(servers), "again_share": share}
    if share <= IN_TURN:
        return measured("in-turn", counts, figures)
    if share >= ANY:
        return measured("any", counts, figures)
    why = f"{again} of {len(servers)} reached the worker before them: neither turns nor none"
    return unclear(why, counts, figures)


ONE_LISTENER = Scenario(
    id=ID,
    subject="new connections",
    sentence="All workers inherited one socket without any option: which of them serves?",
    done="Four workers waited for one listener that they had inherited.",
    words={
        "in-turn": Sense(
            FACT,
            (
                "a worker that was just served waits until the others were: nearly no two "
                "connections in a row reach the same"
            ),
            "every worker gets a fair share; a group would not spread better",
            told=("The busiest worker served {busiest/flows} connections.",),
        ),
        "any": Sense(
            DEPENDS,
            "no turns: often the worker that was just served gets the next connection, too",
            "some workers are busy while others wait, and which ones is luck",
            do=(
                "Let the workers wait in accept(), or give each a listener of its own where a "
                "group is balanced"
            ),
            told=(
                "The busiest worker served {busiest/flows} connections.",
                "{again} connections reached the same worker as the one before.",
            ),
        ),
    },
    cells=cells,
    parameters=Numbers(600, 600),
    script=script,
    classify=classify,
    alarm=30.0,
)
