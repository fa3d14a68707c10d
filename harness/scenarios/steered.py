"""Steered flows: the members that a program named, those that served, and the word for both."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

from harness.scenarios.statistics import one_taker_is_telling
from harness.scenarios.tally import SAME, STRAY, server
from harness.wire.observation import Fate, Observation


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
        return share(fate == place for fate, place in pairs if place < self.listeners)

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
        return share(fate == place + up for fate, place in pairs if place not in (self.left, last))

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


def share(holds: Iterable[bool]) -> float:
    """Return the share of what holds; 0 if there is nothing."""
    every = tuple(holds)
    return sum(every) / len(every) if every else 0.0


def same(one: Sequence[Fate], other: Sequence[Fate]) -> bool:
    """Whether nearly all flows met the same fate in both phases."""
    return share(a == b for a, b in zip(one, other, strict=True)) >= SAME


def _lost(fates: Sequence[Fate]) -> str | None:
    lost = sum(server(fate) is None for fate in fates)
    return f"lost:{lost}/{len(fates)}" if lost > STRAY * len(fates) else None


def _nothing(_: Steered) -> str | None:
    return "as-steered"


def _beyond(flows: Steered) -> str | None:
    found = _lost([now for _, now in flows.unnamed])
    if found is None and share(was == now for was, now in flows.unnamed) >= SAME:
        return "as-hash"
    return found


def _join(flows: Steered) -> str | None:
    starved = flows.listeners not in flows.after and same(flows.after, flows.steered)
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
    if same(flows.after, flows.home):
        return "as-hash"
    return "as-steered" if same(flows.after, flows.steered) else None


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
