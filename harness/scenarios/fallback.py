"""`fallback`: the listeners leave one by one; which of the others serve after each leave."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from harness.model import Cell, Depth, Judgement
from harness.scenarios.confirm import (
    Addresses,
    Others,
    addresses,
    by_addresses,
    confirming,
    doubt,
    follows_the_speaker,
    speakers,
    spoken_counts,
)
from harness.scenarios.grid import BOTH, GROUPING, SHARING, Numbers, cross, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import DEPENDS, FACT, NOTICED, Sense
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
    others: Addresses | None = None

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
        if self.others is not None and self.others.others in (Others.LOST, Others.SPREAD):
            return frozenset({"rebalanced"} if self.spread_by_address else ())
        return frozenset({ends[taker]} if shape is Shape.ONE and taker in ends else ())

    @property
    def spread_by_address(self) -> bool:
        """Whether clients with other addresses reach every listener that remains."""
        if self.others is None or self.others.others is not Others.SPREAD:
            return False
        return all(self.others.tally.members.get(index, 0) for index in self.remaining)

    @property
    def one(self) -> str | None:
        """The errno for which nobody knows why one serves all; None if that is not so."""
        if self.others is None or self.others.others is not Others.IMPOSSIBLE:
            return None
        return self.others.error

    @property
    def sentence(self) -> str:
        """The verdict of this leave alone."""
        lost = self.others is not None and self.others.others is Others.LOST
        if lost and self.others is not None:
            return f"after leave {self.k}: {self.others.loss}"
        word = "/".join(sorted(self.words)) or self.spread.why or self.spread.shape.value
        return f"after leave {self.k}: {word}"


def _leaves(seen: Observation) -> Iterator[Leave]:
    remaining: Sequence[int] = newest_first(seen)
    for k, change in enumerate(seen.changes, start=1):
        remaining = [index for index in remaining if index != change.member]
        counted = tally(seen.phase(f"left-{k}"))
        found, others = spread(counted, sorted(remaining)), None
        if found.taker is not None and len(remaining) > 1:
            others = by_addresses(seen, found.taker, f"left-{k}-addresses")
        yield Leave(k, tuple(remaining), counted, found, others)


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer: every member but one leaves."""
    steps: list[Step] = [DueFlows("all"), *speakers(asked)]
    last = number(asked, "listeners") - 1
    for k in range(1, last + 1):
        steps += [DueChanges(), DueFlows(f"left-{k}")]
        steps += addresses(asked, f"left-{k}-addresses") if k < last else ()
    return members_then(*steps)(asked)


def classify(seen: Observation) -> Judgement:
    """Name the one rule that all leaves follow; the counts give each leave."""
    leaves = tuple(_leaves(seen))
    counts = {**tally(seen.phase("all")).counts("all_"), **spoken_counts(seen)}
    for leave in leaves:
        counts |= leave.tally.counts(f"left_{leave.k}_")
        if leave.others is not None:
            counts |= leave.others.counts(f"left_{leave.k}_addresses_")
    ps = {f"p_uniform_{leave.k}": leave.spread.statistics.get("p_uniform") for leave in leaves}
    figures = {name: p for name, p in ps.items() if p is not None}
    if (loss := tally(seen.phase("all")).loss()) is not None:
        return unclear(f"before anybody left: {loss}", counts, figures)
    if follows_the_speaker(seen):
        return measured("last-sender", counts, figures)
    unknown = [leave.one for leave in leaves if len(leave.remaining) > 1]
    if unknown and unknown[0] is not None and None not in unknown:
        return measured(f"one:{unknown[0]}", counts, figures)
    # A leave can fit several rules, so only a rule that fits all of them is the verdict.
    common = frozenset.intersection(*(leave.words for leave in leaves)) if leaves else frozenset()
    first = spread(tally(seen.phase("all")), sorted(newest_first(seen))).taker
    if first is not None and (why := doubt(seen, first)) is not None:
        return unclear(why, counts, figures)
    if len(common) == 1:
        return measured(min(common), counts, figures)
    return unclear("; ".join(leave.sentence for leave in leaves) or MIXED, counts, figures)


FALLBACK = Scenario(
    id=ID,
    subject="new flows once a listener left",
    sentence="The listeners leave one by one: who serves after each leave?",
    done="The listeners left one by one ({order} first).",
    words={
        "previous": Sense(
            FACT,
            "the one that came before takes over",
            "a stack: stop the new version to go back to the old one",
            told=("After each leave, the newest of those that were left served everything.",),
        ),
        "next": Sense(
            FACT,
            "the one that came after takes over",
            "a queue of successors",
            told=("After each leave, the oldest of those that were left served everything.",),
        ),
        "rebalanced": Sense(
            FACT,
            "the remaining listeners share",
            "capacity shrinks evenly",
            told=("After each leave, those that were left shared the flows.",),
        ),
        "refused": Sense(
            NOTICED,
            "new connections fail although some listeners remain",
            "a leaving worker takes the port with it",
            do="Do not let workers leave one by one",
        ),
        "one": Sense(
            DEPENDS,
            (
                "one serves at each step, and nobody knows whether an order or the client's "
                "address decides"
            ),
            "nobody can rely on which one serves",
            do="Run the agent as root to learn more",
        ),
        "last-sender": Sense(
            DEPENDS,
            "datagrams go to the one that sent last",
            "whoever remains and sends takes over",
        ),
    },
    cells=cells,
    parameters=confirming(Numbers(100, 200)),
    script=script,
    classify=classify,
    alarm=45.0,
)
