"""`drain`: workers retire under a steady load of new connections; are any of these lost?"""

from collections import Counter
from collections.abc import Mapping

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import SHARING, Numbers, multipath, row, table
from harness.scenarios.scenario import NO_SHUTDOWN, STAYS, Scenario
from harness.scenarios.sense import LOSSLESS, NOTICED, Sense
from harness.scenarios.statistics import excluded
from harness.scenarios.tally import STRAY, kind, measured, tally, too_few, unclear
from harness.scenarios.tunables import MIGRATION, SWITCH, at_each
from harness.wire.observation import Flows, Observation, number
from harness.wire.script import DueChanges, DueFact, DueFlows, Script, members

ID = "drain"

WAYS = ("close", "shutdown", "relisten-zero", "pass", "inherit")
"""How a worker retires. The first three accept until the queue is empty and then close():
at once, after shutdown(SHUT_RD), or after listen(fd, 0). `pass` sends the descriptor to a sibling
(SCM_RIGHTS); `inherit` leaves it to a sibling that got it by fork()."""

WITHOUT_CARE = ("abrupt", "visit", "all")
"""`abrupt` closes with what waits in the queue. `visit`: a newcomer listens, accepts nothing, and
closes, as a configuration test does. `all`: as many newcomers listen as there are workers, and then
all old workers do at once what `close` does."""

HALVES = "8"
"""Listeners with `all`: four at first, and four that replace them."""

QUICK = (
    row("reuseport tcp ipv4 specific", way="close"),
    row("reuseport tcp ipv6 wildcard", way="pass"),
    row("reuseport_lb tcp ipv4 specific", way="close"),
)

PLACES = ("tcp ipv4 specific", "tcp ipv6 wildcard")

MIGRATED = tuple(row(f"reuseport {PLACES[0]}", way=way) for way in ("close", "shutdown"))
"""Rows that are asked with `MIGRATION` off and on."""

MULTIPATH = tuple(
    one for way in ("close", "pass") for one in multipath("reuseport mptcp ipv4 specific", way=way)
)

CARELESS = tuple(row(f"reuseport {PLACES[0]}", way=way) for way in WITHOUT_CARE)
"""Rows that are also asked with `MIGRATION` on: is it enough to need no care?"""

EMPTYING = ("close", "relisten-zero")
"""Ways that are only tested if the worker found connections in its queue. shutdown() is not one:
it makes Linux move the queue to a sibling if `tcp_migrate_req` is set. Nor is `all`: where the
newest listener is served, the old ones have nothing left once the new ones stand."""

ROUNDS = {"inherit": 48, "abrupt": 48, "visit": 48, "all": 12}
"""Retirements where it is not `FEWER`. 16 flows begin in each gap between steps of a retirement
(docs/wire.md). Here there is one gap, or with `all` there are four in two directions, and else two.
So each way gets 768 such flows: if none is lost, a loss of 1 in 100 is excluded."""

FEWER = 24
"""Retirements of the other ways."""

APART = 41
"""Flows from one change to the next: a little more than the 40 that the agent asks for. Only those
that begin in a gap decide how rare a loss is excluded; the others keep the group busy."""

NUMBERS = Numbers(APART, APART)

CALM = 200
"""Flows of the phase `calm`, which shows how many are lost while no worker retires."""

DELAYED_MS = 200
"""A flow that takes longer is delayed, as in `failure-arrivals`: a retransmission takes 1 s, a
queue only a few ms."""

CERTAIN = ("refused", "reset", "closed")
"""Kinds of fate that count as a loss from the first one on: no kernel does this by chance."""


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario at the given depth."""
    if depth is Depth.QUICK:
        return table(ID, QUICK)
    return table(
        ID,
        tuple(
            row(f"{option} {place}", way=way)
            for option in SHARING
            for place in PLACES
            for way in (*WAYS, *WITHOUT_CARE)
        )
        + MULTIPATH
        + tuple(at_each(MIGRATION, SWITCH, (*MIGRATED, *MULTIPATH[:2])))
        + tuple(at_each(MIGRATION, ("1",), CARELESS)),
    )


def parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    """Return the parameters of the question: a number of retirements, one after the other."""
    rounds = ROUNDS.get(cell.axes["way"], FEWER)
    # A round has two changes (retire, come back), and 2n changes separate 2n + 1 stretches.
    flows = {"flows": str(APART * (2 * rounds + 1)), "rounds": str(rounds)}
    halves = {"listeners": HALVES} if cell.axes["way"] == "all" else {}
    return {**NUMBERS(cell, depth), **flows, **halves}


def pace(stream: Flows) -> int:
    """Return how many flows began per second."""
    took = max(stream.started) - min(stream.started)
    return len(stream.started) * 1000 // max(1, took)


def _counts(seen: Observation, kinds: Mapping[str, int]) -> Mapping[str, int]:
    """Count the flows by what happened to them.

    `exposed` flows began between the steps of a retirement. `drained` flows were in the queue of a
    worker that was told to retire, and it accepted them before it closed. `endless`
    counts retirements in which accept() never said that the queue was empty.
    """
    stream, others = seen.phase("stream"), {"served", "stranded", *CERTAIN}
    # Time in which the guest did not run is no delay by its kernel.
    slow = DELAYED_MS + seen.gap
    served = zip(stream.fates, stream.took, strict=True)
    return {
        "flows": len(stream.fates),
        "retirements": number(seen.parameters, "rounds"),
        "pace_per_s": pace(stream),
        "exposed": int(seen.facts["exposed"]),
        "drained": int(seen.facts["drained"]),
        **{name: int(seen.facts[name]) for name in ("endless",) if name in seen.facts},
        **{name: kinds.get(name, 0) for name in CERTAIN},
        "never_served": kinds.get("stranded", 0),
        **{name: kinds[name] for name in sorted(kinds.keys() - others)},
        "delayed": sum(kind(fate) == "served" and took > slow for fate, took in served),
        "slowest_ms": max(stream.took),
    }


def _early(seen: Observation) -> int:
    """Count the flows that failed before the first worker retired.

    The agent reports a change only when it is done. So the start of the flow before which the agent
    ordered the first step stands for the time of that step.
    """
    stream = seen.phase("stream")
    first = stream.started[len(stream.started) // (2 * number(seen.parameters, "rounds") + 1)]
    flows = zip(stream.fates, stream.started, stream.took, strict=True)
    return sum(kind(fate) != "served" and began + took < first for fate, began, took in flows)


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer; a worker that cannot retire or return ends it."""
    listeners = number(asked, "listeners")
    first = range(listeners // 2 if asked.get("way") == "all" else listeners)
    return Script(
        (
            *members(first),
            DueFlows("calm", CALM),
            DueChanges(2 * number(asked, "rounds"), until_refused=True),
            DueFlows("stream"),
            DueFact("drained"),
            DueFact("exposed"),
        )
    )


def classify(seen: Observation) -> Judgement:
    """Name how many of all flows were lost; the statistics say which loss rate is excluded.

    Only a flow that meets a retirement can show that retiring is safe. So `lossless` needs enough
    of them, and, if the worker empties its queue, a queue that was not empty.

    A few handshakes that never finish (`timeout`) may be chance, up to `STRAY`. A connection that
    is established but neither served nor ended (`open`) is lost by the listener, and one is enough.
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
    # A lost SYN is sent again after the deadline, so a few time-outs prove no loss.
    chance = sum(fate in ("timeout", "ETIMEDOUT") for fate in fates)
    if 0 < lost == chance <= STRAY * flows:
        why = f"{lost} of {flows} flows had no handshake by the deadline, which may be chance"
        return unclear(why, counts, figures)
    if lost:
        return measured(f"lost:{lost}/{flows}", counts, figures)
    if figures["excluded_share"] > STRAY:
        met = counts["exposed"]
        why = f"nothing was lost, but {too_few(met, 'exclude that one of 100 is')}"
        return unclear(why, counts, figures)
    if seen.begin.parameters.get("way", "close") in EMPTYING and not counts["drained"]:
        why = "nothing was lost, but no connection waited for a worker that retired"
        return unclear(why, counts, figures)
    return measured("lossless", counts, figures)


DRAIN = Scenario(
    id=ID,
    subject="connections while a worker retires",
    sentence="Workers retire under a steady load and come back: are new connections lost?",
    done="Workers retired, or one came and went, under a steady load: {way}.",
    words={
        "lossless": Sense(
            LOSSLESS,
            "no connection was lost",
            "a worker can be retired this way",
            do="Reload this way",
            told=("None of {flows} new connections was lost in {retirements} retirements.",),
        ),
        "lost": Sense(
            NOTICED,
            "this many of the stream were lost",
            "a reload this way shows errors to some clients",
            do=("Pass the descriptor to a sibling (SCM_RIGHTS), or leave it to a child of fork()"),
            told=(
                (
                    "In {retirements} retirements under {flows} new connections, {reset+} "
                    "were reset."
                ),
                "{refused+} were refused.",
                "{never_served+} were never served.",
                "{closed+} ended without an answer.",
            ),
        ),
        NO_SHUTDOWN: STAYS,
    },
    cells=cells,
    parameters=parameters,
    script=script,
    classify=classify,
    alarm=40.0,
)
