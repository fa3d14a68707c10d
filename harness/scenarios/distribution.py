"""`distribution`: several listeners, many connections; which listener accepts each."""

from collections.abc import Mapping

from harness.model import Cell, Depth, Judgement
from harness.scenarios.confirm import (
    addresses,
    by_order,
    confirming,
    follows_the_speaker,
    speakers,
    spoken_counts,
)
from harness.scenarios.grid import ALL, BOTH, SHARING, TUN, Numbers, cross, multipath, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import DEPENDS, FACT, Sense
from harness.scenarios.spread import Shape, Spread, spread
from harness.scenarios.tally import measured, newest_first, tally, unclear
from harness.scenarios.tunables import SPREADING, SWITCH, at_each
from harness.wire.observation import Observation
from harness.wire.script import DueFlows, Script, members_then

ID = "distribution"

QUICK = (
    "reuseport tcp ipv4 specific",
    "reuseport tcp ipv4 wildcard",
    "reuseport tcp ipv6 wildcard",
    "reuseport tcp mapped wildcard",
    "reuseport udp ipv4 specific",
    "reuseport udp ipv6 wildcard",
    "reuseport_lb tcp ipv4 specific",
    "reuseport_lb udp ipv6 wildcard",
)

MANY = tuple(
    row(f"{option} tcp {place}", peer=TUN)
    for option in SHARING
    for place in ("ipv4 specific", "ipv6 wildcard")
)
"""Rows where the agent plays the clients behind a tun device: 8000 flows from 200 hosts."""

SWITCHED = tuple(
    setting
    for protocol, name in SPREADING.items()
    for bind in ("specific", "wildcard")
    for setting in at_each(name, SWITCH, [row(f"reuseport {protocol} ipv4 {bind}")])
)
"""Rows on guests where a tunable decides whether SO_REUSEPORT spreads."""

MULTIPATH = tuple(multipath("reuseport mptcp ipv4 specific", "reuseport mptcp ipv6 wildcard"))


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario at the given depth."""
    if depth is Depth.QUICK:
        return table(ID, (*map(row, QUICK), MANY[0], *SWITCHED[:2]))
    return table(ID, (*cross(ALL, BOTH), *MANY, *MULTIPATH, *SWITCHED))


def classify(seen: Observation) -> Judgement:
    """Name the member that serves all flows, or how the members share them."""
    everything, order = tally(seen.phase("all")), newest_first(seen)
    found = spread(everything, sorted(order))
    counts, figures = {**everything.counts(), **spoken_counts(seen)}, found.statistics
    if everything.loss() is None and follows_the_speaker(seen):
        return measured("last-sender", counts, figures)
    if found.shape is Shape.UNCLEAR or found.shape is Shape.REFUSED:
        return unclear(found.why or "every connection was refused", counts, figures)
    if found.shape is not Shape.ONE:
        return measured(found.shape.value, counts, figures)
    return _by_order(seen, found, order, counts)


def _by_order(
    seen: Observation, found: Spread, order: tuple[int, ...], counts: Mapping[str, int]
) -> Judgement:
    """Name the place of the one that serves all, unless the clients' address decides."""
    taker = order[0] if found.taker is None else found.taker
    places = {order[-1]: "oldest", order[0]: "newest"}
    words = (places.get(taker, "one"), "by-address")
    return by_order(seen, taker, words, counts=counts, figures=found.statistics)


def script(asked: Mapping[str, str]) -> Script:
    """Return what a whole answer consists of."""
    return members_then(DueFlows("all"), *addresses(asked), *speakers(asked))(asked)


DISTRIBUTION = Scenario(
    id=ID,
    subject="new flows",
    sentence="Several listeners share one port: which of them serves new flows?",
    done="Several listeners shared a port, and {flows} flows arrived.",
    words={
        "balanced": Sense(
            FACT,
            (
                "the shares are those of a fair draw (exact tests; error rates in "
                "harness/scenarios/statistics.py)"
            ),
            (
                "one listener per worker spreads the load. It spreads connections, not work: "
                "a worker with long requests gets as many as the others"
            ),
            told=("Every listener got a fair share of the {flows} flows.",),
        ),
        "newest": Sense(
            FACT,
            "the last one to come gets all",
            "no spreading; a new process takes over by starting. Existing workers starve",
            do="Share one socket between the workers if they are to share the load",
            told=("The listener that came last served all {flows} flows, the others none.",),
        ),
        "oldest": Sense(
            FACT,
            "the first one gets all",
            "no spreading; a new process gets nothing until the old one leaves",
            do="Share one socket between the workers if they are to share the load",
            told=("The listener that came first served all {flows} flows, the others none.",),
        ),
        "one": Sense(
            DEPENDS,
            (
                "one gets all, neither the newest nor the oldest. With an errno (one:EPERM): "
                "there was one client address, more could not be added, and so nobody knows "
                "whether an order or the address decides"
            ),
            "no spreading; nobody can rely on which one serves",
            do="Run the agent as root to learn more",
            told=("One listener served all {flows} flows.",),
        ),
        "by-address": Sense(
            DEPENDS,
            "one gets all flows of one client address, but each address has its own",
            "many clients spread; all clients behind one proxy or NAT meet one worker",
            told=(
                (
                    "All flows of one client address reached the same listener, and other "
                    "addresses reached others."
                ),
            ),
        ),
        "last-sender": Sense(
            DEPENDS,
            ("datagrams go to the socket that sent last: each reply moves its socket to the front"),
            (
                "no order can be relied on. Two workers that send on their own take the "
                "traffic from each other"
            ),
            told=("Each datagram went to the socket that had sent last.",),
        ),
        "skewed": Sense(
            DEPENDS,
            "all or several get something, but not evenly",
            "some workers are loaded more than others",
            do=("Look at the counts; suspect the clients' ports or addresses before the kernel"),
            told=("Several listeners were served, but not evenly.",),
        ),
        "copied": Sense(
            FACT,
            "one datagram reached several listeners",
            "each worker must expect every datagram",
            told=("{copied/flows} datagrams reached several listeners.",),
        ),
    },
    cells=cells,
    parameters=confirming(Numbers(400, 1000)),
    script=script,
    classify=classify,
    alarm=30.0,
)
