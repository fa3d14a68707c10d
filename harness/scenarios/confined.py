"""`confined`: half of a port's members are in a namespace, a jail or a FIB; who serves clients?"""

from collections.abc import Mapping
from itertools import product

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import BOTH, SHARING, Numbers, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import FACT, Sense
from harness.scenarios.sides import CROSSED, ONE_ORDER, in_both_orders
from harness.scenarios.tally import measured, tally, unclear
from harness.wire.observation import Observation, number
from harness.wire.script import FEW, DueChanges, DueFlows, Script, members_then

ID = "confined"

SIDES = ("outside", "inside")
"""The first and the second half of the members. The clients are outside."""

INSIDE = ("netns", "jail", "fib")
"""Where the second half is: a network namespace of Linux, a jail or a FIB of FreeBSD."""


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario: none in a quick run."""
    rows = (
        row(f"{option} {protocol} ipv4 specific", inside=inside)
        for inside, option, protocol in product(INSIDE, SHARING, BOTH)
    )
    return () if depth is Depth.QUICK else table(ID, rows)


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer; those inside are alone in the end."""
    outside = number(asked, "listeners") // 2
    alone = (DueChanges(outside), DueFlows("inside", FEW))
    return members_then(DueFlows("all"), *CROSSED, *alone)(asked)


def classify(seen: Observation) -> Judgement:
    """Name the side that serves all flows in both orders of bind(), or `newest`, `oldest`, `both`.

    `both` has the share of those outside. `apart` is said instead of `outside` if those inside are
    not reached even when nobody else is there.
    """
    found = in_both_orders(seen, SIDES)
    if found.verdict != SIDES[0]:
        return found
    alone = tally(seen.phase("inside"))
    counts = {**found.counts, "called_inside": alone.flows, "reached_inside": alone.served}
    if alone.served in (0, alone.flows):
        return measured("outside" if alone.served else "apart", counts)
    return unclear(f"{alone.served} of {alone.flows} flows reach those inside alone", counts)


def refuse(seen: Observation) -> Judgement | None:
    """Return `refused` if bind() or listen() inside is refused; else None.

    The counts say how many stood. Members outside that are refused have nothing to do with it.
    """
    refused = seen.refusal()
    if refused is None or refused.index < seen.listeners // 2:
        return None
    standing = sum(member.error is None for member in seen.members)
    return measured(f"refused:{refused.error}", {"standing": standing})


CONFINED = Scenario(
    id=ID,
    subject="listeners inside and outside",
    sentence="Half of the listeners are in a network namespace, a jail or a FIB: who is served?",
    done="Half of the listeners were in {inside}. All {flows} clients were outside.",
    words={
        "both": Sense(
            FACT,
            "both sides are served; the share of those outside is beside the word",
            "the confinement does not divide the port: they form one group",
            told=("{served_by_outside/flows} flows reached those outside.",),
        ),
        "outside": Sense(
            FACT,
            "only those outside are served; those inside are, once they are alone",
            "no errno says that they wait in vain: a worker in there serves only as a stand-in",
        ),
        "apart": Sense(
            FACT,
            "those inside get nothing, and nothing reaches them once they are alone, either",
            (
                "they have a port of their own with the same number. No errno says so: a worker in "
                "there waits for clients that cannot come"
            ),
        ),
        "inside": Sense(
            FACT,
            "only those inside are served, although the clients are outside",
            "whoever starts a server in there takes the traffic from the others",
        ),
        "newest": Sense(
            FACT,
            "the side that bound last is served, whichever it is",
            "the confinement does not matter: who restarts takes the traffic",
        ),
        "oldest": Sense(
            FACT,
            "the side that bound first is served, whichever it is",
            "the confinement does not matter: who comes second gets nothing",
        ),
        "copied": Sense(FACT, "a datagram reaches both sides", "each must expect it"),
        "refused": Sense(
            FACT,
            "bind() or listen() inside fails with this errno",
            "a server in there cannot share the port. The counts say how many sockets stood before",
        ),
        ONE_ORDER: Sense(
            FACT,
            (
                "they can stand together only if those outside bind first; else their bind() fails "
                "with this errno"
            ),
            "a server outside cannot be restarted while one runs inside. The counts say who is "
            "served",
        ),
    },
    cells=cells,
    parameters=Numbers(80, 400),
    script=script,
    classify=classify,
    alarm=30.0,
    refuse=refuse,
)
