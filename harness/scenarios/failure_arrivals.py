"""`failure-arrivals`: a stream of new connections while a worker fails."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from harness.model import Cell, Depth, Judgement
from harness.scenarios import statistics
from harness.scenarios.grid import (
    BOTH,
    DATAGRAM_FAILURES,
    FAILURES,
    SHARING,
    Numbers,
    cross,
    row,
    table,
)
from harness.scenarios.pace import MAY_BE_CHANCE, SPREAD, StreamPace, chance
from harness.scenarios.scenario import NO_SHUTDOWN, STAYS, Scenario
from harness.scenarios.sense import LOSSLESS, NOTICED, Sense
from harness.scenarios.tally import STRAY, kind, measured, server, unclear
from harness.scenarios.tunables import MIGRATION, SWITCH, at_each
from harness.wire.observation import Fate, Flows, Observation
from harness.wire.script import DueChanges, DueFact, DueFlows, Script, members_then

ID = "failure-arrivals"

QUICK = (
    "reuseport tcp ipv4 specific kill",
    "reuseport tcp ipv6 wildcard close",
    "reuseport udp ipv4 wildcard kill",
    "reuseport udp ipv6 specific close",
    "reuseport_lb tcp ipv4 wildcard kill",
)

MIGRATED = ("reuseport tcp ipv4 specific kill", "reuseport tcp ipv4 wildcard close")

WORDS = ("refused", "reset", "lost", "delayed", "served")
"""From worst to best. The verdict is the worst one that applies."""

PATIENT = ("lost", "delayed")
"""Words for flows that ran out of time. Up to `STRAY` of them may be chance."""

DELAYED_MS = 200
"""A flow that takes longer is delayed, unless the guest's own figures (`StreamPace`) allow it more.
On loopback, 96 flows are under way at full speed and a worker takes 5 ms for each, so a flow that
waits for its turn at one of three workers takes 160 ms."""

IN_HAND = {"kill": 1, "exit": 1}
"""Connections that a worker may have accepted but not answered when its process ends. It serves
one at a time, so there is at most one. Every kernel ends it with the process."""

USUAL = 0.95
"""Share of the flows before the failure that sets the usual time on this guest. A kernel with a
coarse clock makes 20 ms of a worker's 5 ms."""


CALM = 48
"""Flows of the phase `calm`, by which the agent sets the pace of the stream."""

NUMBERS = Numbers(256, 600)


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario at the given depth."""
    if depth is Depth.QUICK:
        return table(ID, map(row, QUICK))
    tcp = cross(SHARING, BOTH[:1], failure=FAILURES)
    udp = cross(SHARING, BOTH[1:], failure=DATAGRAM_FAILURES)
    return table(ID, [*tcp, *udp, *at_each(MIGRATION, SWITCH, map(row, MIGRATED))])


def parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    """Return the parameters of the question. The stream keeps to what this guest can serve."""
    return {**NUMBERS(cell, depth), "pace": "measured"}


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer. At full speed, as of old, nothing is measured."""
    steps = (DueChanges(), DueFlows("stream"))
    if asked.get("pace") == "measured":
        return members_then(DueFlows("calm", CALM), DueFact("window"), *steps)(asked)
    return members_then(*steps)(asked)


RECOVERY = "The last one affected began {recovery_ms} ms after the failure."


class Arrival(Struct, frozen=True):
    """A flow of the stream: when it began and ended (ms), and one of `WORDS`."""

    began: int
    ended: int
    word: str


def _word(fate: Fate, took: int, patience: int, udp: bool) -> str:
    """Return the word for a flow that took `took` ms.

    A flow with no answer by the deadline is `delayed` if it is a connection, because TCP goes on
    retrying, and `lost` if it is a datagram, because UDP does not.
    """
    name = kind(fate)
    if name in ("served", "copied"):
        return "delayed" if took > patience else "served"
    stranded = "lost" if udp else "delayed"
    return {"refused": "refused", "stranded": stranded}.get(name, "reset")


def _overdue(stream: Flows, at: int, gap: int) -> int:
    """Return the ms from which a flow is late here: twice what was usual before the failure.

    The longest time that the guest did not run is added, because it may explain a delay.
    """
    flows = zip(stream.fates, stream.started, stream.took, strict=True)
    before = [took for fate, began, took in flows if began + took < at and server(fate) is not None]
    usual = sorted(before) or [0]
    return gap + 2 * usual[int(USUAL * (len(usual) - 1))]


def _counts(seen: Observation, late: Sequence[Arrival], at: int) -> Mapping[str, int]:
    """Count the words after the change; `recovery_ms` is when the last affected flow began."""
    fates = seen.phase("stream").fates
    words = [arrival.word for arrival in late]
    hurt = [arrival.began - at for arrival in late if arrival.word != "served"]
    return {
        "flows": len(fates),
        "after_change": len(late),
        **{word: words.count(word) for word in WORDS},
        "unserved": sum(kind(fate) == "stranded" for fate in fates),
        "recovery_ms": max([0, *hurt]),
        "slowest_ms": max(seen.phase("stream").took, default=0),
    }


def classify(seen: Observation) -> Judgement:
    """Name the worst thing that happened to flows which had not ended when the worker failed.

    One refusal is enough, and one reset beyond `IN_HAND`: no kernel does that by chance. Delays and
    lost datagrams must exceed what may be chance. Trouble before the failure makes the cell
    inconclusive, and so does a guest on which the stream would show nothing (`StreamPace`).
    """
    at, stream = seen.changes[0].at, seen.phase("stream")
    udp = seen.begin.parameters.get("protocol") == "udp"
    in_hand = 0 if udp else IN_HAND.get(seen.begin.parameters.get("failure", ""), 0)
    pace = StreamPace.of(seen, at, in_hand)
    overdue = seen.gap + SPREAD * pace.usual_ms if pace else _overdue(stream, at, seen.gap)
    patience = max(DELAYED_MS + seen.gap, overdue)
    arrivals = [
        Arrival(began, began + took, _word(fate, took, patience, udp))
        for fate, began, took in zip(stream.fates, stream.started, stream.took, strict=True)
    ]
    late = [arrival for arrival in arrivals if arrival.ended >= at]
    counts = {**_counts(seen, late, at), "delayed_from_ms": patience}
    counts |= pace.counts() if pace else {}
    early = sum(arrival.word != "served" for arrival in arrivals if arrival.ended < at)
    if not any(server(fate) is not None for fate in stream.fates):
        return unclear("nobody was served, before the worker failed or after", counts)
    if pace and not pace.share:
        return unclear("the worker that failed had served nobody before (trap 19)", counts)
    # A flow that was lost well before the failure ends after it all the same, at its deadline.
    old = sum(one.word in PATIENT and one.began + overdue < at for one in late)
    if early + old > STRAY * len(arrivals):
        why = f"{early + old} flows were slow or lost before the worker failed"
        return unclear(why, counts)
    for word, excused in (("refused", 0), ("reset", in_hand)):
        if counts[word] > excused:
            return measured(f"{word}:{counts[word]}/{len(late)}", counts)
    return _at_full_speed(late, counts) if pace is None else _paced(late, at, pace, counts)


def _at_full_speed(late: Sequence[Arrival], counts: Mapping[str, int]) -> Judgement:
    """Judge the delays and losses of a stream at full speed."""
    for word in PATIENT:
        if counts[word] > STRAY * len(late):
            return measured(f"{word}:{counts[word]}/{len(late)}", counts)
    return measured("served", counts)


def _paced(
    late: Sequence[Arrival], at: int, pace: StreamPace, counts: Mapping[str, int]
) -> Judgement:
    """Judge the delays and losses of a stream at a measured pace.

    A queue that is lost hits the flows that were under way, a listener that is lost those that
    came later. So both the flows under way and all of them are looked at.
    """
    met = [one for one in late if one.began <= at]
    for word in PATIENT:
        parts = [sum(one.word == word for one in part) for part in (met, late)]
        p = chance(parts, (len(met), len(late)))
        if p <= statistics.ALPHA_EXCLUDED:
            return measured(f"{word}:{counts[word]}/{len(late)}", counts)
        if p <= MAY_BE_CHANCE:
            why = f"{counts[word]} of {len(late)} flows were {word}, which may be chance"
            return unclear(why, counts)
    # Last: what has gone wrong can be seen on a slow guest, too.
    blind = pace.blind(counts["delayed_from_ms"])
    return measured("served", counts) if blind is None else unclear(blind, counts)


FAILURE_ARRIVALS = Scenario(
    id=ID,
    subject="connections that arrive at a failure",
    sentence="New flows keep coming while a worker fails: are any refused, reset or delayed?",
    done="{failure} while new flows kept coming.",
    words={
        "refused": Sense(
            NOTICED,
            "connect() was refused",
            "clients see it at once and can retry",
            do="Pass the descriptor instead of closing it",
            told=(
                "{refused/after_change} flows were refused.",
                RECOVERY,
            ),
        ),
        "reset": Sense(
            NOTICED,
            (
                "more connections were reset than the one that the worker was serving when "
                "it ended (every kernel loses that one)"
            ),
            "clients see it a little later and can retry",
            do="Pass the descriptor instead of closing it",
            told=(
                "{reset/after_change} flows were reset.",
                RECOVERY,
            ),
        ),
        "lost": Sense(
            NOTICED,
            "no answer at all (datagrams, or a connection that nobody served)",
            "a time-out for the user",
            told=(
                "{lost/after_change} flows got no answer.",
                RECOVERY,
            ),
        ),
        "delayed": Sense(
            NOTICED,
            ("served, but more than 200 ms late, and three times later than before the failure"),
            "retransmissions hide the failure; latency alarms ring",
            told=("{delayed/after_change} flows were late, the slowest took {slowest_ms} ms.",),
        ),
        "served": Sense(
            LOSSLESS,
            "all others were served in time",
            "nobody noticed",
            told=("{served/after_change} flows were served in time.",),
        ),
        NO_SHUTDOWN: STAYS,
    },
    cells=cells,
    parameters=parameters,
    script=script,
    classify=classify,
    alarm=30.0,
    load=25,
)
