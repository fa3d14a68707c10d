"""`last-gone`: the last listener leaves with a queue; what happens to it, to new connects, and to
the port."""

from collections import Counter
from collections.abc import Mapping

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import FAILURES, SHARING, Numbers, cross, row, table
from harness.scenarios.scenario import NO_SHUTDOWN, STAYS, Scenario
from harness.scenarios.sense import NOTICED, Sense
from harness.scenarios.tally import kind, measured, prevailing, unclear
from harness.wire.observation import Observation
from harness.wire.script import FEW, DueAttempt, DueChanges, DueFlows, Script, members

ID = "last-gone"

QUICK = (
    "reuseport tcp ipv4 specific kill",
    "reuseport tcp ipv6 wildcard close",
    "none tcp ipv4 wildcard close",
    "reuseport_lb tcp ipv4 wildcard kill",
)

WORDS = {"refused": "refused", "reset": "reset", "stranded": "hang"}

REBINDS = ("rebind-same", "rebind-none")


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario: all failures at one place, two of them at all places."""
    if depth is Depth.QUICK:
        return table(ID, map(row, QUICK))
    options = ("none", "reuseaddr", *SHARING)
    everywhere = cross(options, ("tcp",), failure=("close", "kill"))
    here = (row(f"{option} tcp ipv4 specific {fails}") for option in options for fails in FAILURES)
    return table(ID, [*everywhere, *here])


def script(_: Mapping[str, str]) -> Script:
    """Return the script of a complete answer: there is one member, whatever was asked."""
    phases = (DueFlows("queued"), DueChanges(), DueFlows("fates"), DueFlows("new", FEW))
    return Script((*members([0]), *phases, *map(DueAttempt, REBINDS)))


def classify(seen: Observation) -> Judgement:
    """Name what new connects meet; the counts give the queue's fate and if the port is free."""
    waited = zip(seen.phase("queued").fates, seen.phase("fates").fates, strict=True)
    queue = Counter(kind(now) for was, now in waited if was == "open")
    new = Counter(map(kind, seen.phase("new").fates))
    counts = {
        "queued": queue.total(),
        **{f"queue_{name}": queue[name] for name in sorted(queue)},
        **{f"new_{name}": new[name] for name in sorted(new)},
    }
    for what in REBINDS:
        attempt, name = seen.attempt(what), what.replace("-", "_")
        error = attempt.error if attempt is not None else None
        counts[f"{name}_ok"] = int(attempt is not None and error is None)
        counts |= {f"{name}_{error}": 1} if error is not None else {}
    if not queue:
        return unclear("no connection came about before it left", counts)
    word = WORDS.get(prevailing(new.elements()) or "")
    if word is None:
        return unclear("new connects share no one fate", counts)
    return measured(word, counts)


LAST_GONE = Scenario(
    id=ID,
    subject="connects after the last listener left",
    sentence="The last listener leaves with a queue: what happens to new connects?",
    done="{failure}. It was the last listener, with {queued} connections in its queue.",
    words={
        "refused": Sense(
            NOTICED,
            "new connects are refused",
            "clients and load balancers notice at once",
            told=(
                "{new_refused} new connects were refused.",
                "Of {queued} connections in its queue, {queue_reset+} were reset.",
            ),
        ),
        "reset": Sense(
            NOTICED,
            "they are reset",
            "clients and load balancers notice",
            told=(
                "{new_reset} new connects were reset.",
                "Of {queued} connections in its queue, {queue_reset+} were reset.",
            ),
        ),
        "hang": Sense(
            NOTICED,
            "they wait",
            "they notice only after a time-out. A stopped worker does this",
            do="Check health per worker",
            told=(
                "{new_stranded} new connects got no answer.",
                "Of {queued} connections in its queue, {queue_reset+} were reset.",
            ),
        ),
        NO_SHUTDOWN: STAYS,
    },
    cells=cells,
    parameters=Numbers(50, 100, listeners=1),
    script=script,
    classify=classify,
    alarm=40.0,
    load=0,
)
