"""`datagrams`: what of a datagram's sender decides who gets it, and who gets what is for many."""

from collections import defaultdict
from itertools import product

from harness.model import Cell, Depth, Judgement
from harness.scenarios import distribution
from harness.scenarios.grid import GROUPING, PLACES, Numbers, Row, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.spread import Shape, spread
from harness.scenarios.tally import SAME, measured, newest_first, server, tally
from harness.wire.observation import Fate, Observation
from harness.wire.script import DueFlows, members_then

ID = "datagrams"

OPTIONS = GROUPING[:3]
"""SO_REUSEADDR lets several sockets have a datagram port on most systems, too."""

SOURCES = ("one-sender", "many-ports", "many-addresses")
"""Many datagrams of each of 17 senders; of a port each; of an address each, all from one port."""

FOR_MANY = ("multicast", "broadcast")

QUICK = (
    row("reuseport udp ipv4 specific", source="one-sender"),
    row("reuseport udp ipv4 wildcard", source="many-addresses"),
    row("reuseport udp ipv4 wildcard", delivery="multicast"),
    row("reuseaddr udp ipv4 wildcard", delivery="broadcast"),
    row("reuseport udp ipv6 wildcard", source="one-sender"),
    row("reuseport_lb udp ipv4 wildcard", source="many-addresses"),
)


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return where it is asked; what is for many goes to sockets that are bound to the wildcard."""
    if depth is Depth.QUICK:
        return table(ID, QUICK)
    rows: list[Row] = []
    for option, (family, bind) in product(OPTIONS, PLACES):
        sources = SOURCES if family != "ipv6" else SOURCES[:2]
        rows += [row(f"{option} udp {family} {bind}", source=source) for source in sources]
    for option, delivery in product(OPTIONS, FOR_MANY):
        families = ("ipv4", "ipv6") if delivery == "multicast" else ("ipv4",)
        rows += [row(f"{option} udp {family} wildcard", delivery=delivery) for family in families]
    return table(ID, rows)


def _keeps(seen: Observation) -> tuple[int, int]:
    """Return how many senders there are, and of how many each datagram went to one listener."""
    everything, told = seen.phase("all"), defaultdict[int, list[Fate]](list)
    for port, fate in zip(everything.ports, everything.fates, strict=True):
        told[port].append(fate)
    kept = 0
    for fates in told.values():
        servers = [server(fate) for fate in fates if not isinstance(fate, str)]
        kept += max(map(servers.count, servers), default=0) >= SAME * len(servers)
    return len(told), kept


def classify(seen: Observation) -> Judgement:
    """Name who gets them; with one sender whether its datagrams keep together, before all else."""
    if seen.parameters.get("source") != "one-sender":
        return distribution.classify(seen)
    everything = tally(seen.phase("all"))
    found = spread(everything, sorted(newest_first(seen)))
    if found.shape in (Shape.ONE, Shape.COPIED) or everything.loss() is not None:
        return distribution.classify(seen)
    senders, kept = _keeps(seen)
    if kept < senders:
        return distribution.classify(seen)
    counts = {**everything.counts(), "senders": senders, "senders_kept": kept}
    return measured("by-sender", counts, found.statistics)


DATAGRAMS = Scenario(
    id=ID,
    sentence="What of its sender decides who gets a datagram, and who gets what is for many?",
    words=("by-sender", *distribution.DISTRIBUTION.words),
    cells=cells,
    parameters=Numbers(160, 640),
    script=members_then(DueFlows("all")),
    classify=classify,
)
