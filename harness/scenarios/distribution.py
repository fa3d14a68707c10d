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
from harness.scenarios.grid import ALL, BOTH, SHARING, TUN, Numbers, cross, row, table
from harness.scenarios.scenario import Scenario
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
"""Rows where the agent plays the clients behind a tun device: 20 000 flows from 200 hosts."""

SWITCHED = tuple(
    setting
    for protocol, name in SPREADING.items()
    for bind in ("specific", "wildcard")
    for setting in at_each(name, SWITCH, [row(f"reuseport {protocol} ipv4 {bind}")])
)
"""Rows on guests where a tunable decides whether SO_REUSEPORT spreads."""


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario at the given depth."""
    if depth is Depth.QUICK:
        return table(ID, (*map(row, QUICK), MANY[0], *SWITCHED[:2]))
    return table(ID, (*cross(ALL, BOTH), *MANY, *SWITCHED))


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
    sentence="Several listeners share one port: which of them serves new flows?",
    words=("balanced", "newest", "oldest", "one", "by-address", "last-sender", "skewed", "copied"),
    cells=cells,
    parameters=confirming(Numbers(400, 1000)),
    script=script,
    classify=classify,
    alarm=30.0,
)
