"""`datagrams`: which part of the sender's address picks the receiver; who gets a multicast."""

from collections import defaultdict
from itertools import product

from harness.model import Cell, Depth, Judgement, State
from harness.scenarios import distribution
from harness.scenarios.confirm import confirming, follows_the_speaker
from harness.scenarios.grid import GROUPING, PLACES, Numbers, Row, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import FACT, Sense
from harness.scenarios.spread import Shape, spread
from harness.scenarios.tally import SAME, measured, newest_first, server, tally
from harness.wire.observation import Fate, Observation

ID = "datagrams"

OPTIONS = GROUPING[:3]
"""On most systems SO_REUSEADDR also lets several sockets share a datagram port."""

SOURCES = ("one-sender", "many-ports", "many-addresses")
"""Who sends: 17 senders with many datagrams each; a new port for each datagram; or a new address
for each datagram, all from one port."""

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
    """Return the cells of this scenario; multicast and broadcast need a wildcard bind."""
    if depth is Depth.QUICK:
        return table(ID, QUICK)
    rows: list[Row] = []
    for option, (family, bind) in product(OPTIONS, PLACES):
        rows += [row(f"{option} udp {family} {bind}", source=source) for source in SOURCES]
    for option, delivery in product(OPTIONS, FOR_MANY):
        families = ("ipv4", "ipv6") if delivery == "multicast" else ("ipv4",)
        rows += [row(f"{option} udp {family} wildcard", delivery=delivery) for family in families]
    return table(ID, rows)


def _keeps(seen: Observation) -> tuple[int, int]:
    """Return the number of senders, and how many of them kept to one listener."""
    everything, told = seen.phase("all"), defaultdict[int, list[Fate]](list)
    for port, fate in zip(everything.ports, everything.fates, strict=True):
        told[port].append(fate)
    kept = 0
    for fates in told.values():
        servers = [server(fate) for fate in fates if not isinstance(fate, str)]
        kept += max(map(servers.count, servers), default=0) >= SAME * len(servers)
    return len(told), kept


def classify(seen: Observation) -> Judgement:
    """Name who gets the datagrams; `by-sender` if each sender keeps to one listener."""
    everything = tally(seen.phase("all"))
    delivery = seen.parameters.get("delivery")
    if delivery in FOR_MANY and everything.unserved.get("timeout") == everything.flows:
        why = f"the loopback interface delivers no {delivery}: no datagram of any sender arrived"
        return Judgement(State.NOT_APPLICABLE, why=why, counts=everything.counts())
    if seen.parameters.get("source") != "one-sender":
        return distribution.classify(seen)
    found = spread(everything, sorted(newest_first(seen)))
    # If one listener gets everything, every sender keeps to it and `by-sender` says nothing.
    if found.shape in (Shape.ONE, Shape.COPIED) or everything.loss() is not None:
        return distribution.classify(seen)
    senders, kept = _keeps(seen)
    if kept < senders or follows_the_speaker(seen):
        return distribution.classify(seen)
    counts = {**everything.counts(), "senders": senders, "senders_kept": kept}
    return measured("by-sender", counts, found.statistics)


DATAGRAMS = Scenario(
    id=ID,
    subject="datagrams",
    sentence="Which part of the sender's address picks the receiver, and who gets a multicast?",
    done="A group of sockets got datagrams from {source}{delivery}.",
    words={
        "by-sender": Sense(
            FACT,
            "each sender's always go to one listener",
            "a session stays with its worker; one busy sender loads one worker",
            told=("{senders_kept/senders} senders met one listener each.",),
        ),
        **distribution.DISTRIBUTION.words,
    },
    cells=cells,
    parameters=confirming(Numbers(160, 640)),
    script=distribution.script,
    classify=classify,
)
