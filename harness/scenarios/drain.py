"""`drain`: workers retire under a steady load of new connections: is any of these lost?"""

from collections import Counter
from collections.abc import Mapping

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import SHARING, Numbers, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.statistics import excluded
from harness.scenarios.tally import STRAY, kind, measured, tally, unclear
from harness.scenarios.tunables import MIGRATION, SWITCH, at_each
from harness.wire.observation import Flows, Observation, number
from harness.wire.script import DueChanges, DueFact, DueFlows, Script, members_then

ID = "drain"

WAYS = ("close", "shutdown", "relisten-zero", "pass", "inherit")
"""Accept until empty and close(), as it is, after shutdown(SHUT_RD) or after listen(fd, 0); pass
the descriptor to a sibling (SCM_RIGHTS); leave it to one that inherited it by fork()."""

QUICK = (
    row("reuseport tcp ipv4 specific", way="close"),
    row("reuseport tcp ipv6 wildcard", way="pass"),
    row("reuseport_lb tcp ipv4 specific", way="close"),
)

PLACES = ("tcp ipv4 specific", "tcp ipv6 wildcard")

MIGRATED = tuple(row(f"reuseport {PLACES[0]}", way=way) for way in ("close", "shutdown"))
"""Where it is asked with the migration of requests switched off and on."""

EMPTYING = ("close", "relisten-zero")
"""Ways whose worker accepts what is in its queue: that nothing was leaves them unasked. Not so
after shutdown(), at which Linux moves the queue to a sibling if `tcp_migrate_req` is set."""

ROUNDS = {"inherit": 48}
"""Retirements, 24 of the other ways: 16 flows begin between two steps of each (docs/wire.md), 768
in all, so that no loss excludes that one of 100 is lost. `inherit` has two steps, the others
three."""

FEWER = 24

APART = 65
"""Flows from one change to the next: a little more than the 64 that the agent asks for."""

NUMBERS = Numbers(APART, APART)

CALM = 200
"""Flows of `calm`, which tell how many are lost when nobody retires."""

DELAYED_MS = 200
"""As in `failure-arrivals`: a retransmission takes 1 s, a queue here a few ms."""

CERTAIN = ("refused", "reset", "closed")
"""Kinds of which one is a loss: no kernel does that to a connection by chance."""


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return where it is asked."""
    if depth is Depth.QUICK:
        return table(ID, QUICK)
    return table(
        ID,
        tuple(
            row(f"{option} {place}", way=way)
            for option in SHARING
            for place in PLACES
            for way in WAYS
        )
        + tuple(at_each(MIGRATION, SWITCH, MIGRATED)),
    )


def parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    """Return what the agent is asked: so many retirements, one after the other."""
    rounds = ROUNDS.get(cell.axes["way"], FEWER)
    flows = {"flows": str(APART * (2 * rounds + 1)), "rounds": str(rounds)}
    return {**NUMBERS(cell, depth), **flows}


def pace(stream: Flows) -> int:
    """Return how many flows began in a second."""
    took = max(stream.started) - min(stream.started)
    return len(stream.started) * 1000 // max(1, took)


def _counts(seen: Observation, kinds: Mapping[str, int]) -> Mapping[str, int]:
    """Count what befell the flows.

    `exposed` began between the steps of a retirement; `drained` were in the queue of a worker that
    was told to go, which accepted them on its way out.
    """
    stream, others = seen.phase("stream"), {"served", "stranded", *CERTAIN}
    slow = DELAYED_MS + seen.gap
    served = zip(stream.fates, stream.took, strict=True)
    return {
        "flows": len(stream.fates),
        "retirements": number(seen.parameters, "rounds"),
        "pace_per_s": pace(stream),
        "exposed": int(seen.facts["exposed"]),
        "drained": int(seen.facts["drained"]),
        **{name: kinds.get(name, 0) for name in CERTAIN},
        "never_served": kinds.get("stranded", 0),
        **{name: kinds[name] for name in sorted(kinds.keys() - others)},
        "delayed": sum(kind(fate) == "served" and took > slow for fate, took in served),
        "slowest_ms": max(stream.took),
    }


def _early(seen: Observation) -> int:
    """Count the flows that came to nothing before anybody retired: not a retirement's doing.

    Told by the flow before which the first step was ordered: a change is said when it is done.
    """
    stream = seen.phase("stream")
    first = stream.started[len(stream.started) // (2 * number(seen.parameters, "rounds") + 1)]
    flows = zip(stream.fates, stream.started, stream.took, strict=True)
    return sum(kind(fate) != "served" and began + took < first for fate, began, took in flows)


def script(asked: Mapping[str, str]) -> Script:
    """Return what a whole answer consists of: who cannot retire or come back ends the rounds."""
    return members_then(
        DueFlows("calm", CALM),
        DueChanges(2 * number(asked, "rounds"), until_refused=True),
        DueFlows("stream"),
        DueFact("drained"),
        DueFact("exposed"),
    )(asked)


def classify(seen: Observation) -> Judgement:
    """Name how many were lost of all; what `lossless` excludes is part of the evidence.

    Only flows that meet a retirement say that it loses none: where too few did, or a worker that
    was to empty its queue had none in it, nothing lost is no verdict.

    A handshake that never came about (`timeout`) may be nobody's fault up to `STRAY`; what was
    connected and then neither served nor ended (`open`) is the listener's, from the first one on.
    """
    fates = seen.phase("stream").fates
    kinds = Counter(map(kind, fates))
    flows, lost = len(fates), len(fates) - kinds["served"]
    counts = _counts(seen, kinds)
    figures = {
        "lost_share": lost / flows,
        "lost_per_retirement": lost / counts["retirements"],
        "excluded_share": excluded(counts["exposed"]),
        "excluded_per_retirement": excluded(counts["retirements"]),
    }
    if (loss := tally(seen.phase("calm")).loss()) is not None:
        return unclear(f"while nobody retired: {loss}", counts, figures)
    if not kinds["served"]:
        return unclear("nobody was served, before a retirement or after", counts, figures)
    if early := _early(seen):
        return unclear(f"{early} flows were lost before anybody retired", counts, figures)
    chance = sum(fate in ("timeout", "ETIMEDOUT") for fate in fates)
    if 0 < lost == chance <= STRAY * flows:
        why = f"{lost} of {flows} flows had no handshake by the deadline, which may be chance"
        return unclear(why, counts, figures)
    if lost:
        return measured(f"lost:{lost}/{flows}", counts, figures)
    if figures["excluded_share"] > STRAY:
        met = counts["exposed"]
        why = f"nothing was lost, but {met} flows are too few to exclude that one of 100 is"
        return unclear(why, counts, figures)
    if seen.begin.parameters.get("way", "close") in EMPTYING and not counts["drained"]:
        why = "nothing was lost, but no connection waited for a worker that retired"
        return unclear(why, counts, figures)
    return measured("lossless", counts, figures)


DRAIN = Scenario(
    id=ID,
    sentence="Workers retire under a steady load and come back: is a new connection lost?",
    words=("lossless", "lost"),
    cells=cells,
    parameters=parameters,
    script=script,
    classify=classify,
    alarm=40.0,
)
