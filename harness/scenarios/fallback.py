"""`fallback`: the listeners leave one by one; which of the others serve after each leave."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import BOTH, GROUPING, SHARING, Numbers, cross, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.spread import Shape, Spread, spread
from harness.scenarios.tally import Tally, measured, newest_first, tally, unclear
from harness.scenarios.tunables import SPREADING, SWITCH, at_each
from harness.wire.observation import Observation, number
from harness.wire.script import DueChanges, DueFlows, Script, Step, members_then

ID = "fallback"

ORDERS = ("newest", "oldest", "middle")

QUICK = (
    row("reuseport tcp ipv4 specific close", order="newest"),
    row("reuseport tcp ipv6 wildcard kill", order="oldest"),
    row("reuseport udp ipv4 wildcard kill", order="middle"),
    row("reuseport udp ipv6 specific close", order="newest"),
    row("reuseport_lb tcp ipv4 wildcard close", order="oldest"),
)

MIXED = "no one rule"


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario; `reuseaddr` makes groups of datagram sockets only."""
    if depth is Depth.QUICK:
        return table(ID, QUICK)
    options = tuple(option for option in GROUPING if option != "reuseaddr")
    rows = [
        *cross(options, BOTH, failure=("close",), order=ORDERS),
        *cross(("reuseaddr",), ("udp",), failure=("close",), order=("newest",)),
        *cross(SHARING[:1], BOTH, failure=("kill",), order=ORDERS),
        *at_each(SPREADING["tcp"], SWITCH, QUICK[:1]),
    ]
    return table(ID, rows)


class Leave(Struct, frozen=True):
    """The k-th leave: the members that remain, newest first, and how they share the flows."""

    k: int
    remaining: tuple[int, ...]
    tally: Tally
    spread: Spread

    @property
    def words(self) -> frozenset[str]:
        """The rules that this leave agrees with; a single remaining member fits three of them."""
        shape, taker = self.spread.shape, self.spread.taker
        if shape is Shape.REFUSED:
            return frozenset({"refused"})
        if len(self.remaining) == 1:
            alone = self.tally.members.get(self.remaining[0], 0)
            served = alone == self.tally.served and self.tally.loss() is None
            return frozenset({"previous", "next", "rebalanced"} if served else ())
        if shape is Shape.BALANCED:
            return frozenset({"rebalanced"})
        ends = {self.remaining[0]: "previous", self.remaining[-1]: "next"}
        return frozenset({ends[taker]} if shape is Shape.ONE and taker in ends else ())

    @property
    def sentence(self) -> str:
        """The verdict of this leave alone."""
        word = "/".join(sorted(self.words)) or self.spread.why or self.spread.shape.value
        return f"after leave {self.k}: {word}"


def _leaves(seen: Observation) -> Iterator[Leave]:
    remaining: Sequence[int] = newest_first(seen)
    for k, change in enumerate(seen.changes, start=1):
        remaining = [index for index in remaining if index != change.member]
        counted = tally(seen.phase(f"left-{k}"))
        yield Leave(k, tuple(remaining), counted, spread(counted, sorted(remaining)))


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer: every member but one leaves."""
    steps: list[Step] = [DueFlows("all")]
    for k in range(1, number(asked, "listeners")):
        steps += [DueChanges(), DueFlows(f"left-{k}")]
    return members_then(*steps)(asked)


def classify(seen: Observation) -> Judgement:
    """Name the one rule that all leaves follow; the counts give each leave."""
    leaves = tuple(_leaves(seen))
    counts = tally(seen.phase("all")).counts("all_")
    for leave in leaves:
        counts |= leave.tally.counts(f"left_{leave.k}_")
    ps = {f"p_uniform_{leave.k}": leave.spread.statistics.get("p_uniform") for leave in leaves}
    figures = {name: p for name, p in ps.items() if p is not None}
    if (loss := tally(seen.phase("all")).loss()) is not None:
        return unclear(f"before anybody left: {loss}", counts, figures)
    # A leave can fit several rules, so only a rule that fits all of them is the verdict.
    common = frozenset.intersection(*(leave.words for leave in leaves)) if leaves else frozenset()
    if len(common) == 1:
        return measured(min(common), counts, figures)
    return unclear("; ".join(leave.sentence for leave in leaves) or MIXED, counts, figures)


FALLBACK = Scenario(
    id=ID,
    sentence="The listeners leave one by one: who serves after each leave?",
    words=("previous", "next", "rebalanced", "refused"),
    cells=cells,
    parameters=Numbers(100, 200),
    script=script,
    classify=classify,
    alarm=45.0,
)
