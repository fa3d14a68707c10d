"""`failure-hung`: one worker stops accepting (SIGSTOP), and its queue fills."""

from collections.abc import Mapping

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import BOTH, SHARING, Numbers, cross, row, table
from harness.scenarios.homes import Homes
from harness.scenarios.scenario import Scenario
from harness.scenarios.tally import NEARLY_ALL, STRAY, Tally, kind, measured, prevailing, unclear
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
"""What the flows that find the queue full make of it."""

BACKLOG = 16
"""Small, so that a quarter of the flows overfills a queue of half as much again and more."""


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return where it is asked."""
    if depth is Depth.QUICK:
        return table(ID, map(row, QUICK))
    return table(ID, cross(SHARING, BOTH, failure=("hang",)))


def classify(seen: Observation) -> Judgement:
    """Say what the flows of the member that hangs came to, those that its queue did not take.

    Each rule asks for nearly all (`NEARLY_ALL`) of some dozens of flows, and of the survivors' no
    more than `STRAY` may be lost: a few SYNs that a system sends again after the deadline make no
    verdict.
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
    """Name what happens beyond the queue; a queue that never filled up stalls all the same.

    Without homes (`flows` are then everybody's) what was served does not count as the victim's,
    unless there is nothing else beyond the queue.
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
    sentence="A worker hangs: does its share of new connections stall, and what fits its queue?",
    words=("stalled", "reset", "overflowed", "all-stalled"),
    cells=cells,
    parameters=_parameters,
    script=members_then(DueFlows("home"), DueChanges(), DueFlows("hung"), DueFact("backlog")),
    classify=classify,
    alarm=40.0,
    load=0,
)
