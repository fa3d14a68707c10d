"""`listen-order`: members bind in one order and listen in the other; which order counts."""

from harness.model import Cell, Depth, Judgement, State
from harness.scenarios.grid import SHARING, Numbers, cross, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import FACT, Sense
from harness.scenarios.tally import SAME, measured, server, tally, unclear
from harness.wire.observation import Observation
from harness.wire.script import DueAttempt, DueFlows, members_then

ID = "listen-order"

QUICK = (
    "reuseport tcp ipv4 specific",
    "reuseport tcp ipv6 wildcard",
    "reuseport_lb tcp ipv4 wildcard",
)


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario: TCP only, because datagram sockets do not listen."""
    if depth is Depth.QUICK:
        return table(ID, map(row, QUICK))
    return table(ID, cross(SHARING, ("tcp",)))


def classify(seen: Observation) -> Judgement:
    """Compare each flow's member in two groups that differ only in the order of listen().

    If the group follows bind(), the flow stays at its member. If it follows listen(), the flow
    moves to the mirror image: from member k to the one that is k from the other end. Both hold for
    a hash as well as for a kernel that serves the newest member.
    """
    refused = seen.attempt("crossed")
    if refused is not None and refused.error is not None:
        why = f"members that all bind before one listens are refused: {refused.call}"
        return Judgement(State.NOT_APPLICABLE, why=f"{why} {refused.error}")
    before, after = seen.phase("all"), seen.phase("crossed")
    counts = tally(before).counts("plain_") | tally(after).counts("crossed_")
    for phase in (before, after):
        if (loss := tally(phase).loss()) is not None:
            return unclear(loss, counts)
    last = seen.listeners - 1
    served = zip(map(server, before.fates), map(server, after.fates), strict=True)
    pairs = [(was, now) for was, now in served if was is not None and now is not None]
    # The member in the middle has the same place in both orders.
    telling = [(was, now) for was, now in pairs if 2 * was != last]
    stayed = sum(was == now for was, now in telling)
    turned = sum(now == last - was for was, now in telling)
    counts |= {"telling": len(telling), "stayed": stayed, "turned": turned}
    if telling and stayed >= SAME * len(telling):
        return measured("bind", counts)
    if telling and turned >= SAME * len(telling):
        return measured("listen", counts)
    return unclear("which member serves a flow follows neither order", counts)


LISTEN_ORDER = Scenario(
    id=ID,
    subject="places in the group",
    sentence="Members bind in one order and listen in the other: which one does the group follow?",
    done="The listeners bound in one order and listened in the other.",
    words={
        "bind": Sense(
            FACT,
            "places follow bind()",
            "a worker's place, and its flows after a restart, are fixed early",
            told=(
                (
                    "{stayed/telling} flows kept their listener when only the order of "
                    "listen() was reversed."
                ),
            ),
        ),
        "listen": Sense(
            FACT,
            "places follow listen()",
            ("the place is fixed when the worker is ready; a slow starter moves to the end"),
            told=(
                (
                    "{turned/telling} flows went to the mirrored listener when the order of "
                    "listen() was reversed."
                ),
            ),
        ),
    },
    cells=cells,
    parameters=Numbers(200, 400),
    script=members_then(DueFlows("all"), DueAttempt("crossed", needed=True), DueFlows("crossed")),
    classify=classify,
    alarm=30.0,
)
