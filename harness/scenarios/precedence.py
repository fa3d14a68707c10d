"""`precedence`: two kinds of socket on one port match the same flow; which kind gets it."""

from collections.abc import Iterator, Mapping
from itertools import product

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import BOTH, GROUPING, PLACES, Numbers, Row, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import FACT, Sense
from harness.scenarios.sides import CROSSED, ONE_ORDER, TAKEN, Sides, in_both_orders, in_one_order
from harness.scenarios.tally import measured
from harness.wire.observation import Observation, number
from harness.wire.script import DueFlows, Script, members

ID = "precedence"

SIDES: Mapping[str, Sides] = {
    "address": ("specific", "wildcard"),
    "option": ("reuseport", "reuseport_lb"),
    "family": ("ipv4", "dual-stack"),
    "device": ("device", "plain"),
}
"""The kinds of the first and the second half of the members, by `pair` (docs/wire.md)."""

BOTH_ORDERS = "both"
"""The position that asks in both orders. A kernel that simply serves the newest socket serves the
other side when the order is reversed (docs/traps.md, trap 16). Older runs have a cell for each
order, at `first` and at `last`; each says what was seen in that order."""

QUICK = (
    row("reuseport tcp ipv4 mixed", pair="address"),
    row("reuseport tcp ipv6 mixed", pair="address"),
    row("reuseport udp ipv4 mixed", pair="address"),
    row("reuseport_lb tcp ipv4 mixed", pair="address"),
    row("reuseport+reuseport_lb tcp ipv4 specific", pair="option"),
    row("reuseport+reuseport_lb tcp ipv6 wildcard", pair="option"),
    row("reuseport tcp mapped wildcard", pair="family"),
    row("reuseport udp mapped wildcard", pair="family"),
)

NUMBERS = Numbers(80, 400)
"""Flows of each order."""


def parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    """Return the parameters of the question: two members a side, or one if the option is no group.

    On the BSDs SO_REUSEADDR allows a specific bind beside a wildcard bind, but not two binds to
    the same address (freebsd: in_pcbbind_setup()).
    """
    alone = cell.axes["option"] == "reuseaddr"
    return {**NUMBERS(cell, depth), **({"listeners": "2"} if alone else {})}


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario; each is asked in both orders."""
    rows = QUICK if depth is Depth.QUICK else tuple(_full())
    return table(ID, ({**one, "position": BOTH_ORDERS} for one in rows))


def _full() -> Iterator[Row]:
    for option, protocol in product(GROUPING[:3], BOTH):
        for family in ("ipv4", "ipv6"):
            yield row(f"{option} {protocol} {family} mixed", pair="address")
        for bind in ("wildcard", "mixed"):
            yield row(f"{option} {protocol} mapped {bind}", pair="family")
    for protocol, family, bind in product(BOTH, ("ipv4", "ipv6"), ("wildcard", "mixed")):
        yield row(f"reuseport {protocol} {family} {bind}", pair="device")
    yield from (
        row(f"reuseaddr udp {family} wildcard", pair="device") for family in ("ipv4", "ipv6")
    )
    for protocol, (family, bind) in product(BOTH, PLACES):
        yield row(f"reuseport+reuseport_lb {protocol} {family} {bind}", pair="option")


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer: one side's members bind before the other's."""
    order = range(number(asked, "listeners"))
    half = len(order) // 2
    first, second = members(order[:half]), members(order[half:])
    position = asked.get("position", "last")
    if position == "last":
        return Script((*second, *first, DueFlows("all")))
    more = CROSSED if position == BOTH_ORDERS else ()
    return Script((*first, *second, DueFlows("all"), *more))


def classify(seen: Observation) -> Judgement:
    """Name the side that serves all flows in both orders, or `newest`, `oldest` or `both`.

    `both` has the share of the first side.
    """
    sides = SIDES[seen.parameters.get("pair", "address")]
    if seen.parameters.get("position") == BOTH_ORDERS:
        return in_both_orders(seen, sides)
    return in_one_order(seen, sides)


def refuse(seen: Observation) -> Judgement | None:
    """Return `refused` if a socket is refused because of those that stand; else None.

    The counts say how many stood. They may be of the same side: an option that does not allow two
    sockets at one address has no preference between two sides, either.
    """
    refused = seen.refusal()
    standing = sum(member.error is None for member in seen.members)
    if refused is None or refused.error != TAKEN or not standing:
        return None
    return measured(f"refused:{TAKEN}", {"standing": standing})


PRECEDENCE = Scenario(
    id=ID,
    subject="two kinds of socket on one port",
    sentence="Two kinds of socket match a flow: which one is served?",
    done="Two kinds of socket matched each of {flows} flows.",
    words={
        "specific": Sense(
            FACT,
            "the socket bound to the address is served",
            "a process on one address takes those connections from a wildcard server",
        ),
        "wildcard": Sense(
            FACT,
            "the wildcard socket is served",
            "a specific socket gets nothing: look at distribution with bind mixed",
        ),
        "reuseport": Sense(
            FACT,
            "the socket with plain SO_REUSEPORT is served",
            "mixing both options starves the other",
        ),
        "reuseport_lb": Sense(
            FACT, "the one with SO_REUSEPORT_LB is served", "mixing both options starves the other"
        ),
        "ipv4": Sense(
            FACT, "the IPv4 socket is served", "a dual-stack server beside it gets no IPv4"
        ),
        "dual-stack": Sense(
            FACT, "the IPv6 socket is served", "the IPv4 server beside it gets nothing"
        ),
        "device": Sense(
            FACT,
            "the socket that is bound to the network device is served",
            "a server for one device, or one VRF, takes that device's clients from the others",
        ),
        "plain": Sense(
            FACT,
            "the socket without a device is served",
            "a server for one device gets none of these clients, although they come through it",
        ),
        "newest": Sense(
            FACT,
            "the side that bound last is served, whichever it is",
            "nothing is preferred: who restarts takes the traffic",
        ),
        "oldest": Sense(
            FACT,
            "the side that bound first is served, whichever it is",
            "nothing is preferred: who comes second gets nothing",
        ),
        "both": Sense(FACT, "both are served", "they form one group"),
        "copied": Sense(FACT, "a datagram reaches both", "each must expect it"),
        "refused": Sense(
            FACT,
            "bind() or listen() of the second socket fails with this errno",
            "two such servers cannot run beside each other. The counts say how many sockets stood "
            "before",
        ),
        ONE_ORDER: Sense(
            FACT,
            "they can stand together only if the first of the pair (specific, reuseport, ipv4) "
            "binds first; else bind() of it fails with this errno",
            "it cannot be restarted while the other one runs. The counts say who is served",
        ),
    },
    cells=cells,
    parameters=parameters,
    script=script,
    classify=classify,
    alarm=30.0,
    refuse=refuse,
)
