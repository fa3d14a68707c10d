"""`steering`: a program chooses the member that each flow reaches; what if members change?"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from types import MappingProxyType

from msgspec import Struct

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import BOTH, Numbers, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import FACT, NOTICED, Sense
from harness.scenarios.statistics import one_taker_is_telling
from harness.scenarios.tally import SAME, STRAY, measured, server, tally, too_few, unclear
from harness.wire.observation import Fate, Observation, number
from harness.wire.script import DueChanges, DueFlows, Script, Step, members, members_then

ID = "steering"

PROGRAMS = ("cbpf", "ebpf")
"""Classic BPF, which names a member by its number and which every user may attach; and eBPF of
type SK_REUSEPORT, which takes a socket out of a map and needs root (linux:
net/core/sock_reuseport.c, reuseport_select_sock())."""

SEQUELS = ("nothing", "beyond", "join", "leave", "restart", "detach")
"""What happens once the program steers (docs/wire.md, "steering")."""

PLACES = ("ipv4 specific", "ipv6 wildcard")

QUICK = (
    row("reuseport tcp ipv4 specific", program="cbpf", then="leave"),
    row("reuseport udp ipv6 wildcard", program="cbpf", then="nothing"),
)

NUMBERS = Numbers(200, 200)


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario at the given depth."""
    if depth is Depth.QUICK:
        return table(ID, QUICK)
    every = product(PROGRAMS, BOTH, PLACES, SEQUELS)
    rows = [
        row(f"reuseport {protocol} {place}", program=program, then=then)
        for program, protocol, place, then in every
    ]
    return table(ID, (*rows, row("reuseport tcp mapped wildcard", program="cbpf", then="nothing")))


def parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    """Return the parameters of the question; the first member leaves.

    If it does, a kernel that moves the last member to its number and one that moves up all those
    behind it differ for every flow of the others.
    """
    return {**NUMBERS(cell, depth), "member": "first"}


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer."""
    newcomer = members([number(asked, "listeners")])
    after = DueFlows("after")
    sequels: Mapping[str, tuple[Step, ...]] = {
        "join": (*newcomer, DueChanges(), after, DueChanges(), DueFlows("wider")),
        "leave": (DueChanges(), after),
        "restart": (*newcomer, DueChanges(2), after),
        "detach": (DueChanges(), after),
    }
    steps = (DueFlows("home"), DueChanges(), DueFlows("steered"))
    return members_then(*steps, *sequels.get(asked.get("then", "nothing"), ()))(asked)


class Steered(Struct, frozen=True):
    """The flows of one trial, each at the same index in all phases.

    `places` are what the program says of them: the client's port, modulo the number of places.
    `home` are their fates before it was attached, `steered` since, `after` once something happened,
    and `wider` with a program that knows the newcomer. `left` is the member that left.
    """

    listeners: int
    places: Sequence[int]
    home: Sequence[Fate]
    steered: Sequence[Fate]
    after: Sequence[Fate] = ()
    wider: Sequence[Fate] = ()
    left: int = -1

    @classmethod
    def of(cls, seen: Observation) -> "Steered":
        """Gather the phases of an observation."""
        said = {flows.phase: flows.fates for flows in seen.flows}
        then = seen.parameters.get("then", "nothing")
        places = seen.listeners + (then == "beyond")
        return cls(
            seen.listeners,
            [port % places for port in seen.phase("steered").ports],
            said["home"],
            said["steered"],
            said.get("after", ()),
            said.get("wider", ()),
            seen.changes[-1].member if then in ("leave", "restart") else -1,
        )

    @property
    def followed(self) -> float:
        """Share of the flows with a member's place that reached this member."""
        pairs = zip(self.steered, self.places, strict=True)
        return _share(fate == place for fate, place in pairs if place < self.listeners)

    @property
    def unnamed(self) -> tuple[tuple[Fate, Fate], ...]:
        """The fates, before and since, of flows for which the program names no member."""
        rows = zip(self.home, self.steered, self.places, strict=True)
        return tuple((was, now) for was, now, place in rows if place >= self.listeners)

    @property
    def orphaned(self) -> tuple[Fate, ...]:
        """What the flows of the member that left met."""
        rows = zip(self.after, self.places, strict=True) if self.after else ()
        return tuple(fate for fate, place in rows if place == self.left)

    def kept(self, last: int, up: int) -> float:
        """Share of the others' flows that the member `up` places further on served.

        The flows of `last` are left out: its own number may have gone with the leaver's.
        """
        pairs = zip(self.after, self.places, strict=True)
        return _share(fate == place + up for fate, place in pairs if place not in (self.left, last))

    @property
    def counts(self) -> dict[str, int]:
        """The counts of the cell."""
        found = {
            "flows": len(self.places),
            "followed": sum(a == b for a, b in zip(self.steered, self.places, strict=True)),
            "as_before": sum(a == b for a, b in zip(self.steered, self.home, strict=True)),
        }
        if self.unnamed:
            found["unnamed"] = len(self.unnamed)
            found["unnamed_as_before"] = sum(was == now for was, now in self.unnamed)
        if self.after:
            found["newcomer"] = self.after.count(self.listeners)
        if self.wider:
            found["newcomer_named"] = self.wider.count(self.listeners)
        heirs = [fate for fate in self.orphaned if isinstance(fate, int)]
        return found | {f"inherited_by_{one}": heirs.count(one) for one in sorted(set(heirs))}


def _share(holds: Iterable[bool]) -> float:
    every = tuple(holds)
    return sum(every) / len(every) if every else 0.0


def _same(one: Sequence[Fate], other: Sequence[Fate]) -> bool:
    return _share(a == b for a, b in zip(one, other, strict=True)) >= SAME


def _lost(fates: Sequence[Fate]) -> str | None:
    lost = sum(server(fate) is None for fate in fates)
    return f"lost:{lost}/{len(fates)}" if lost > STRAY * len(fates) else None


def _nothing(_: Steered) -> str | None:
    return "as-steered"


def _beyond(flows: Steered) -> str | None:
    found = _lost([now for _, now in flows.unnamed])
    if found is None and _share(was == now for was, now in flows.unnamed) >= SAME:
        return "as-hash"
    return found


def _join(flows: Steered) -> str | None:
    starved = flows.listeners not in flows.after and _same(flows.after, flows.steered)
    return "newcomers-starve" if starved and flows.listeners in flows.wider else None


def _leave(flows: Steered) -> str | None:
    joined = flows.listeners in flows.after
    return _heirs(flows, flows.listeners if joined else flows.listeners - 1)


def _heirs(flows: Steered, last: int) -> str | None:
    """Name what became of the leaver's number, if the others' flows tell."""
    if (lost := _lost(flows.after)) is not None:
        return lost
    if flows.kept(last, 1) >= SAME:
        return "moved-up"
    heirs = flows.orphaned
    if flows.kept(last, 0) < SAME or not one_taker_is_telling(len(heirs), flows.listeners - 1):
        return None
    most = max(map(heirs.count, set(heirs)))
    if most >= SAME * len(heirs):
        return "renumbered" if heirs.count(last) == most else None
    return "as-hash"


def _detach(flows: Steered) -> str | None:
    if _same(flows.after, flows.home):
        return "as-hash"
    return "as-steered" if _same(flows.after, flows.steered) else None


NAMES: Mapping[str, Callable[[Steered], str | None]] = MappingProxyType(
    {
        "nothing": _nothing,
        "beyond": _beyond,
        "join": _join,
        "leave": _leave,
        "restart": _leave,
        "detach": _detach,
    }
)
"""How each sequel is named; None if the flows share no rule."""


def classify(seen: Observation) -> Judgement:
    """Compare the member that each flow reached with the one that the program named."""
    flows = Steered.of(seen)
    counts, figures = flows.counts, {"followed_share": flows.followed}
    if (loss := tally(seen.phase("home")).loss()) is not None:
        return unclear(f"before there was a program: {loss}", counts, figures)
    if not one_taker_is_telling(len(flows.places), flows.listeners):
        return unclear(too_few(len(flows.places), "tell a program from a hash"), counts, figures)
    then = seen.parameters.get("then", "nothing")
    if flows.followed < SAME:
        ignored = _same(flows.steered, flows.home)
        why = "the members that served are neither the program's nor those of before"
        return measured("ignored", counts, figures) if ignored else unclear(why, counts, figures)
    word = NAMES[then](flows)
    if word is None:
        return unclear(f"after {then}, the flows follow no one rule", counts, figures)
    return measured(word, counts, figures)


STEERING = Scenario(
    id=ID,
    subject="flows that a program steers",
    sentence="A program chooses the listener of each flow: is it followed when members change?",
    done="A program ({program}) chose the listener of each flow. Then: {then}.",
    words={
        "as-steered": Sense(
            FACT,
            "each flow reached the listener that the program named",
            "a program can keep a client, a CPU or a shard with one worker",
            told=("{followed/flows} flows reached the listener that the program named.",),
        ),
        "as-hash": Sense(
            FACT,
            (
                "flows that the program gave to nobody (after a detach: all) were served as "
                "without a program"
            ),
            "a program that names nobody loses nothing, but its flows go to any worker",
        ),
        "ignored": Sense(
            NOTICED,
            "the kernel took the program, and served every flow as without it",
            "what the program was to keep together is spread; no call says so",
            do="Look at who serves before you rely on the program",
            told=("{as_before/flows} flows reached the same listener with the program as before.",),
        ),
        "newcomers-starve": Sense(
            NOTICED,
            "who joined got nothing until a program named it",
            "a new worker, or a second process, is ready and serves nothing",
            do="Attach a program for the new number of workers once they listen",
            told=(
                "The newcomer served {newcomer} of {flows} flows, and {newcomer_named} once a "
                "program named it.",
            ),
        ),
        "renumbered": Sense(
            FACT,
            "the last listener to come took the number of the one that left",
            (
                "in a restart the new worker takes over the flows of the old one; if no new one "
                "came, the last worker gets them, and its own go to any worker"
            ),
            do="Start the new worker before the old one stops, one at a time",
        ),
        "moved-up": Sense(
            FACT,
            "those that came after the one that left moved up by one number",
            "every worker behind it gets the flows of another",
            do="Attach a new program after each leave",
        ),
        "lost": Sense(
            NOTICED,
            "flows were lost for which the program named no listener",
            "clients fail until the program is replaced",
            do="Replace the program before a worker leaves",
        ),
    },
    cells=cells,
    parameters=parameters,
    script=script,
    classify=classify,
    alarm=30.0,
)
