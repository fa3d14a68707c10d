"""`backlog`: a listener calls listen() again with another backlog; does its queue follow?"""

from collections.abc import Mapping

from harness.model import Cell, Depth, Judgement, State
from harness.scenarios.grid import DEADLINES, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import DEPENDS, FACT, Sense
from harness.scenarios.tally import kind, measured, unclear
from harness.wire.observation import Observation
from harness.wire.script import DueAttempt, DueFlows, members_then

ID = "backlog"

SMALL, LARGE = 16, 48
"""Backlogs. Kernels queue a few connections more than they are told, or half of it more."""

FLOWS = 96
"""More than any kernel queues at a backlog of `LARGE`."""

SIZES = ((SMALL, LARGE), (LARGE, SMALL))
"""The backlogs of the first and of the second listen(): the axes `backlog` and `again`."""


LEFT_OUT = {"stranded", "reset"}
"""What becomes of a handshake that does not fit: no answer, or a reset (freebsd: sysctl
net.inet.tcp.syncache.rst_on_sock_fail). `open`, a place in the queue, is also `stranded`."""


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario; a quick run has none, as no group is at stake."""
    place = {"option": "none", "protocol": "tcp", "family": "ipv4", "bind": "specific"}
    rows = ({**place, "backlog": str(first), "again": str(second)} for first, second in SIZES)
    return () if depth is Depth.QUICK else table(ID, rows)


def parameters(cell: Cell, _: Depth) -> Mapping[str, str]:
    """Return the parameters of the question: one listener, and more flows than it queues."""
    deadline = str(DEADLINES[cell.axes["protocol"]])
    return {**cell.axes, "listeners": "1", "flows": str(FLOWS), "deadline": deadline}


def classify(seen: Observation) -> Judgement:
    """Compare how many handshakes fit into the queue before and after the second listen().

    What fits differs from kernel to kernel, so the two are only compared with each other: the queue
    follows if it changed by at least half of the difference of the two backlogs.
    """
    refused = seen.attempts[0]
    if refused.error is not None:
        why = f"the second listen() was refused: {refused.error}"
        return Judgement(State.NOT_APPLICABLE, why=why)
    asked = (LARGE - SMALL) * (1 if seen.parameters.get("again") == str(LARGE) else -1)
    before, after = (seen.phase(name).fates.count("open") for name in ("before", "after"))
    flows = len(seen.phase("after").fates)
    counts = {"queued_before": before, "queued_after": after, "flows": flows}
    for name, fits in (("before", before), ("after", after)):
        others = {kind(fate) for fate in seen.phase(name).fates} - LEFT_OUT
        if others:
            return unclear(f"flows were not only queued or left out: {sorted(others)}", counts)
        if not fits:
            return unclear(f"no handshake was answered {name} the second listen()", counts)
        if fits == flows:
            return unclear(f"the queue was never full {name} the second listen()", counts)
    change = (after - before) / asked
    if change >= 0.5:
        return measured("follows", counts)
    if abs(change) <= 0.1:
        return measured("stays", counts)
    return unclear(f"it held {before} connections, then {after}: neither the same nor more", counts)


BACKLOG = Scenario(
    id=ID,
    subject="the accept queue",
    sentence="A listener calls listen() again with another backlog: does its queue follow?",
    done="A listener called listen() again with another backlog.",
    words={
        "follows": Sense(
            FACT,
            "the queue holds more, or fewer, at once",
            "a reload can change the backlog of a socket that it keeps",
            told=("{queued_before} connections fitted before, and {queued_after} afterwards.",),
        ),
        "stays": Sense(
            DEPENDS,
            "the queue keeps its size, though listen() succeeds",
            "a reload that keeps the socket keeps its old backlog, too",
            do="Open a new socket, or restart the server, to change the backlog",
            told=("{queued_before} connections fitted before, and {queued_after} afterwards.",),
        ),
    },
    cells=cells,
    parameters=parameters,
    script=members_then(DueFlows("before"), DueAttempt("again", needed=True), DueFlows("after")),
    classify=classify,
    alarm=30.0,
    load=0,
)
