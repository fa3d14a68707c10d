"""`precedence`: two kinds of socket on one port match the same flow; which kind gets it."""

from collections.abc import Iterator, Mapping
from itertools import product

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import BOTH, GROUPING, PLACES, Numbers, Row, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.tally import SAME, STRAY, measured, tally, unclear
from harness.wire.observation import Observation, number
from harness.wire.script import DueFlows, Script, members

ID = "precedence"

SIDES: Mapping[str, tuple[str, str]] = {
    "address": ("specific", "wildcard"),
    "option": ("reuseport", "reuseport_lb"),
    "family": ("ipv4", "dual-stack"),
}
"""The kinds of the first and the second half of the members, by `pair` (docs/wire.md)."""

POSITIONS = ("first", "last")
"""When the first half (for example the specific sockets) binds. A kernel that simply serves the
newest socket serves the other side when the order is reversed (docs/traps.md, trap 16)."""

QUICK = (
    row("reuseport tcp ipv4 mixed", pair="address", position="first"),
    row("reuseport tcp ipv6 mixed", pair="address", position="last"),
    row("reuseport udp ipv4 mixed", pair="address", position="first"),
    row("reuseport_lb tcp ipv4 mixed", pair="address", position="first"),
    row("reuseport+reuseport_lb tcp ipv4 specific", pair="option", position="first"),
    row("reuseport+reuseport_lb tcp ipv6 wildcard", pair="option", position="last"),
    row("reuseport tcp mapped wildcard", pair="family", position="first"),
    row("reuseport udp mapped wildcard", pair="family", position="last"),
)


NUMBERS = Numbers(160, 400)


def parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    """Return the parameters of the question: two members a side, or one if the option is no group.

    On the BSDs SO_REUSEADDR allows a specific bind beside a wildcard bind, but not two binds to
    the same address (freebsd: in_pcbbind_setup()).
    """
    alone = cell.axes["option"] == "reuseaddr"
    return {**NUMBERS(cell, depth), **({"listeners": "2"} if alone else {})}


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario; the full catalogue asks each pair in both orders."""
    return table(ID, QUICK if depth is Depth.QUICK else _full())


def _full() -> Iterator[Row]:
    for option, protocol, position in product(GROUPING[:3], BOTH, POSITIONS):
        for family in ("ipv4", "ipv6"):
            yield row(f"{option} {protocol} {family} mixed", pair="address", position=position)
        for bind in ("wildcard", "mixed"):
            yield row(f"{option} {protocol} mapped {bind}", pair="family", position=position)
    for protocol, (family, bind), position in product(BOTH, PLACES, POSITIONS):
        place = f"reuseport+reuseport_lb {protocol} {family} {bind}"
        yield row(place, pair="option", position=position)


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer: one side's members bind before the other's."""
    order = range(number(asked, "listeners"))
    half = len(order) // 2
    if asked.get("position", "last") == "first":
        return Script((*members(order), DueFlows("all")))
    return Script((*members(order[half:]), *members(order[:half]), DueFlows("all")))


def classify(seen: Observation) -> Judgement:
    """Name the side that serves all flows, or `both` with the share of the first side."""
    everything = tally(seen.phase("all"))
    half = seen.listeners // 2
    ahead = sum(count for index, count in everything.members.items() if index < half)
    first, second = SIDES[seen.parameters.get("pair", "address")]
    counts = {
        **everything.counts(),
        f"served_by_{first}": ahead,
        f"served_by_{second}": everything.served - ahead,
    }
    if everything.copied >= SAME * everything.flows:
        return measured("copied", counts)
    loss = everything.loss()
    if loss is not None or everything.copied > STRAY * everything.flows:
        return unclear(loss or f"{everything.copied} datagrams reached several, others one", counts)
    return _named(ahead, everything.served, (first, second), counts)


def _named(ahead: int, served: int, sides: tuple[str, str], counts: Mapping[str, int]) -> Judgement:
    """Name a preference or a share; a few flows to the other side are neither."""
    share = ahead / served
    figures = {"first_share": share}
    if ahead in (0, served):
        return measured(sides[ahead == 0], counts, figures)
    if min(ahead, served - ahead) <= STRAY * served:
        why = f"{share:.1%} of the flows reached {sides[0]}: neither a preference nor a share"
        return unclear(why, counts, figures)
    return measured(f"both:{share:.2f}", counts, figures)


PRECEDENCE = Scenario(
    id=ID,
    sentence="Two kinds of socket match a flow: which one is served?",
    words=(*(word for sides in SIDES.values() for word in sides), "both", "copied"),
    cells=cells,
    parameters=parameters,
    script=script,
    classify=classify,
    alarm=30.0,
)
