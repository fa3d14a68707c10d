"""`group-limit`: 300 sockets in one group; how many can bind, and how many get connections."""

import math
from collections.abc import Mapping

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import BOTH, SHARING, Numbers, cross, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import FACT, Sense
from harness.scenarios.statistics import ALPHA_OTHER
from harness.scenarios.tally import SAME, STRAY, measured, tally, unclear
from harness.wire.observation import Observation
from harness.wire.script import DueAttempt, DueFact, DueFlows, Script

ID = "group-limit"

SOCKETS = 300
"""More than the 256 that FreeBSD allows a group (getsockopt(2), SO_REUSEPORT_LB)."""

FLOWS = 4000
"""At most. With this many, a uniform hash leaves one of 300 members idle at most once in 2000 runs.
The agent stops as soon as all members have served, or one member served all of the first 200: more
flows could not change `all`, and two members that share evenly give `one` once in 2**199 times."""

QUICK = (
    "reuseport tcp ipv4 specific",
    "reuseport udp ipv6 wildcard",
    "reuseport_lb tcp ipv4 specific",
    "reuseport_lb udp ipv6 wildcard",
)

NUMBERS = Numbers(FLOWS, FLOWS)


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario at the given depth."""
    quick = table(ID, map(row, QUICK))
    return quick if depth is Depth.QUICK else table(ID, cross(SHARING, BOTH))


def parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    """Return the parameters of the question: one process opens all the sockets."""
    return {**NUMBERS(cell, depth), "sockets": str(SOCKETS)}


def idle_chance(flows: int, members: int, idle: int) -> float:
    """Return an upper bound of the chance that a uniform hash leaves `idle` members idle.

    It is a union bound over the sets of that many members.
    """
    if not 0 < idle < members:
        return 1.0
    return min(1.0, math.comb(members, idle) * math.exp(flows * math.log1p(-idle / members)))


def script(_: Mapping[str, str]) -> Script:
    """Return the script of a complete answer; the agent reports only the last socket.

    It asks no more flows than it needs.
    """
    return Script((DueFact("stood"), DueAttempt("last"), DueFlows("all", None)), group="sockets")


def classify(seen: Observation) -> Judgement:
    """Tell members that are refused from those that bind but stay deaf (docs/traps.md, trap 10)."""
    everything, last = tally(seen.phase("all")), seen.attempts[0]
    stood, asked = int(seen.facts["stood"]), int(seen.parameters.get("sockets", SOCKETS))
    ever, flows = len(everything.members), everything.flows
    counts = {"asked": asked, "stood": stood, "ever_served": ever, "flows": flows}
    counts |= {f"{last.call}_{last.error}": 1} if last.error is not None else {}
    figures = {"idle_chance": idle_chance(everything.served, stood, stood - ever)}
    if last.call == "socket":
        why = f"the system had no socket for member {stood + 1}: {last.error}"
        return unclear(why, counts, figures)
    if everything.copied >= SAME * flows:
        return measured("copied", counts, figures)
    loss = everything.loss()
    if loss is not None or everything.copied > STRAY * flows:
        return unclear(loss or f"{everything.copied} datagrams reached several", counts, figures)
    return _named(counts, figures)


def _named(counts: Mapping[str, int], figures: Mapping[str, float]) -> Judgement:
    """Name the verdict of counts that are sound.

    If one member serves everything, the sockets are no group and no limit can be seen.
    """
    asked, stood, ever = counts["asked"], counts["stood"], counts["ever_served"]
    if ever == 1 and stood > 1:
        return measured("one", counts, figures)
    if ever < stood and figures["idle_chance"] > ALPHA_OTHER:
        why = f"{stood - ever} of {stood} were idle, which may be chance"
        return unclear(why, counts, figures)
    if ever < stood:
        return measured(f"deaf:{stood - ever}/{stood}", counts, figures)
    if stood < asked:
        return measured(f"refused:{asked - stood}/{asked}", counts, figures)
    return measured("all", counts, figures)


GROUP_LIMIT = Scenario(
    id=ID,
    subject=f"{SOCKETS} sockets in one group",
    sentence=f"{SOCKETS} sockets are in one group: how many of them ever serve?",
    done="{asked} sockets were asked to share one port.",
    words={
        "all": Sense(
            FACT,
            "all serve",
            "the limit, if there is one, is higher",
            told=("{ever_served/stood} sockets that were bound ever served.",),
        ),
        "deaf": Sense(
            FACT,
            "some are bound and never serve",
            "bind() succeeded, and that worker sits idle",
            do="Start fewer workers",
            told=("{ever_served/stood} sockets that were bound ever served.",),
        ),
        "refused": Sense(
            FACT,
            "bind() or listen() fails from some number on",
            "the counts say from which",
            do="Start fewer workers",
            told=("{stood/asked} sockets could join.",),
        ),
        "one": Sense(
            FACT,
            "only one serves",
            "nothing is spread",
            told=("{ever_served/stood} sockets that were bound ever served.",),
        ),
        "copied": Sense(
            FACT, "every datagram reaches several", "each worker must expect every datagram"
        ),
    },
    cells=cells,
    parameters=parameters,
    script=script,
    classify=classify,
    alarm=30.0,
)
