"""`failure-hung`: one worker stops accepting (SIGSTOP), and its accept queue fills."""

from collections.abc import Mapping
from itertools import chain

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import BOTH, SHARING, Numbers, cross, row, table
from harness.scenarios.homes import Homes
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import NOTICED, Sense
from harness.scenarios.tally import NEARLY_ALL, STRAY, Tally, kind, measured, prevailing, unclear
from harness.scenarios.tunables import OVERFLOW, SWITCH, at_each
from harness.wire.observation import Fate, Observation
from harness.wire.script import DueChanges, DueFact, DueFlows, members_then

ID = "failure-hung"

QUICK = (
    "reuseport tcp ipv4 specific hang",
    "reuseport tcp ipv6 wildcard hang",
    "reuseport udp ipv4 wildcard hang",
    "reuseport udp ipv6 specific hang",
    "reuseport_lb tcp ipv4 wildcard hang",
)

WORDS = {"stranded": "stalled", "served": "overflowed", "reset": "reset", "refused": "reset"}
"""The verdict for each kind of fate that flows meet when the queue is full."""

BACKLOG = 16
"""Small, so that a quarter of the flows overfills the queue even if a kernel allows half as much
again, or more."""


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario at the given depth."""
    if depth is Depth.QUICK:
        return table(ID, map(row, QUICK))
    one = [row("reuseport tcp ipv4 specific hang")]
    switched = chain.from_iterable(at_each(name, SWITCH, one) for name in OVERFLOW)
    return table(ID, (*cross(SHARING, BOTH, failure=("hang",)), *switched))


def classify(seen: Observation) -> Judgement:
    """Name what happened to the hung member's flows that did not fit into its queue.

    Each rule needs `NEARLY_ALL` of some dozens of flows, and the survivors may lose at most
    `STRAY`. So a few SYNs that a system sends again after the deadline decide nothing.
    """
    homes = Homes.of(seen.phase("home").fates, seen.phase("hung").fates, seen.changes[0].member)
    everything, own = Tally.of(homes.all), Tally.of(now for _, now in homes.survivors)
    victim = homes.victim if homes.hold else tuple(homes.all)
    counts = {
        **Tally.of(homes.victim).counts("victim_"),
        **own.counts("survivors_"),
        "homeless": homes.homeless,
        "queue_capacity": victim.count("open"),
        "queue_filled": int(any(fate != "open" for fate in victim)),
        "backlog": int(seen.facts["backlog"]),
    }
    figures = {"home_kept_share": homes.kept, "by_counts_only": float(not homes.hold)}
    # Asked before anything else: if one hung worker stops the whole group, the survivors' losses
    # are the finding and no reason to doubt it.
    stranded = sum(kind(fate) == "stranded" for fate in homes.all)
    if stranded >= NEARLY_ALL * everything.flows > 0:
        return measured("all-stalled", counts, figures)
    if homes.loss is not None:
        return unclear(homes.loss, counts, figures)
    if homes.hold and (loss := own.loss()) is not None:
        return unclear(f"the survivors, too: {loss}", counts, figures)
    word = _word(homes, victim)
    if word is None:
        return unclear("its flows share no one fate", counts, figures)
    return measured(word, counts, figures)


def _word(homes: Homes, flows: tuple[Fate, ...]) -> str | None:
    """Name what happens beyond the queue; None if no one kind prevails.

    If the queue never filled up, its flows stall as well. If homes do not hold, `flows` are those
    of the whole group. Then a served flow counts as a survivor's, unless no flow was lost beyond
    the queue.
    """
    waiting = flows.count("open")
    beyond = [kind(fate) for fate in flows if fate != "open"]
    if homes.hold and len(beyond) <= STRAY * len(flows):
        return "stalled" if flows else None
    if homes.hold:
        return WORDS.get(prevailing(beyond) or "")
    lost = [name for name in beyond if name != "served"]
    if len(lost) > STRAY * len(flows):
        told = homes.plausible(len(lost) + waiting)
        return WORDS.get(prevailing(lost) or "") if told else None
    return "stalled" if homes.plausible(waiting) else "overflowed"


def _parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    return Numbers(160, 400, backlog=BACKLOG)(cell, depth)


FAILURE_HUNG = Scenario(
    id=ID,
    subject="new connections of a hung worker",
    sentence="A worker hangs: do its new connections stall, and how many fit into its queue?",
    done="A worker was stopped (SIGSTOP) while new flows kept coming.",
    words={
        "stalled": Sense(
            NOTICED,
            "its share of new connections waits or times out",
            "the kernel does not notice that a worker no longer accepts",
            do="Check health per worker, and take a hung one out of the group",
            told=(
                (
                    "Of its {victim_flows} flows, {queue_capacity} waited in its queue and "
                    "nobody answered the others."
                ),
                "The other workers served their {survivors_flows+}.",
            ),
        ),
        "reset": Sense(
            NOTICED,
            "its share is reset once the queue is full",
            "clients can retry, and may reach another worker",
            do="Check health per worker",
            told=(
                (
                    "{victim_ECONNRESET/victim_flows} of its flows were reset once its queue "
                    "was full."
                ),
            ),
        ),
        "overflowed": Sense(
            NOTICED,
            "connections that do not fit its queue go to others",
            "the group heals itself, at the cost of one full queue",
            do="Check health per worker",
            told=(
                (
                    "{queue_capacity} flows waited in its queue, and other workers took what "
                    "did not fit."
                ),
            ),
        ),
        "all-stalled": Sense(
            NOTICED,
            "nobody gets anything",
            "one hung worker takes the service down",
            do="Check health per worker, and end a hung one",
            told=("Nobody was served until the clients gave up.",),
        ),
    },
    cells=cells,
    parameters=_parameters,
    script=members_then(DueFlows("home"), DueChanges(), DueFlows("hung"), DueFact("backlog")),
    classify=classify,
    alarm=40.0,
    load=0,
)
