"""Counting fates: what all families of scenarios count by, and the bounds they share."""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from harness.model import Judgement, State
from harness.wire.observation import Fate, Flows, Observation

STRAY = 0.01
"""Share of a phase's flows that may go astray without making a verdict, or spoiling one. On
loopback NetBSD sends the SYN of 3 to 5 of 1000 connects again after 6 s, and a datagram may be
dropped for a full buffer (docs/traps.md, trap 9)."""

NEARLY_ALL = 0.95
"""Share of the flows in question that has to share a fate before the fate is the verdict."""

SAME = 1 - STRAY
"""Share of repeated 4-tuples that has to reach the same member before its mapping is one."""

RESETS = frozenset({"ECONNRESET", "ECONNABORTED", "EPIPE"})
"""What a client is told of a connection that was ended by RST, by system and by call."""

REFUSED = "ECONNREFUSED"

KINDS = {
    REFUSED: "refused",
    "eof": "closed",
    "timeout": "stranded",
    "open": "stranded",
    "ETIMEDOUT": "stranded",
}
"""What the other fates are counted as; `stranded`: neither served nor ended by anybody."""


def server(fate: Fate) -> int | None:
    """Return the one member that answered; None if none did, or several of them."""
    if isinstance(fate, int):
        return fate
    if isinstance(fate, tuple) and len(set(fate)) == 1:
        return fate[0]
    return None


def kind(fate: Fate) -> str:
    """Return what a fate is counted as: a refusal, a reset, an end, a wait without one, served."""
    if not isinstance(fate, str):
        return "served" if server(fate) is not None else "copied"
    if fate in RESETS:
        return "reset"
    return KINDS.get(fate, fate)


class Tally(Struct, frozen=True):
    """How many flows each member served, several members answered, and what befell the others."""

    flows: int
    members: Mapping[int, int]
    copied: int
    unserved: Mapping[str, int]

    @classmethod
    def of(cls, fates: Iterable[Fate]) -> "Tally":
        """Count the fates of a phase, or of a part of it."""
        fates = tuple(fates)
        servers = [server(fate) for fate in fates]
        return cls(
            flows=len(fates),
            members=Counter(index for index in servers if index is not None),
            copied=sum(kind(fate) == "copied" for fate in fates),
            unserved=Counter(fate for fate in fates if isinstance(fate, str)),
        )

    @property
    def served(self) -> int:
        """Flows that exactly one member served."""
        return sum(self.members.values())

    @property
    def astray(self) -> int:
        """Flows that nobody served."""
        return sum(self.unserved.values())

    def share(self, count: int) -> float:
        """Return a count as a share of all flows, 0 of none."""
        return count / self.flows if self.flows else 0.0

    def counts(self, prefix: str = "") -> dict[str, int]:
        """Return everything counted, by name: `flows`, `member_2`, `timeout`, `ECONNRESET`."""
        found = {f"member_{index}": self.members[index] for index in sorted(self.members)}
        found |= {"copied": self.copied} if self.copied else {}
        found |= {fate: self.unserved[fate] for fate in sorted(self.unserved)}
        return {f"{prefix}{name}": count for name, count in {"flows": self.flows, **found}.items()}

    def loss(self) -> str | None:
        """Return why more flows were lost than go astray; None if that is not so."""
        if self.astray <= STRAY * self.flows:
            return None
        tally = ", ".join(f"{self.unserved[fate]} {fate}" for fate in sorted(self.unserved))
        return f"lossy: {self.astray} of {self.flows} flows were not served ({tally})"


def tally(flows: Flows) -> Tally:
    """Count a whole phase."""
    return Tally.of(flows.fates)


def measured(
    verdict: str, counts: Mapping[str, int], statistics: Mapping[str, float] | None = None
) -> Judgement:
    """Return a verdict with its evidence."""
    return Judgement(State.MEASURED, verdict, counts=counts, statistics=statistics or {})


def unclear(
    why: str, counts: Mapping[str, int], statistics: Mapping[str, float] | None = None
) -> Judgement:
    """Return that it cannot be told, with what was counted."""
    return Judgement(State.INCONCLUSIVE, why=why, counts=counts, statistics=statistics or {})


def prevailing(kinds: Iterable[str]) -> str | None:
    """Return the kind of at least `NEARLY_ALL`, None if there is none."""
    counted = Counter(kinds)
    for name, count in counted.most_common(1):
        if count >= NEARLY_ALL * counted.total():
            return name
    return None


def newest_first(seen: Observation) -> tuple[int, ...]:
    """Return the members that stand, the last that listened (datagrams: was bound) first.

    Groups follow the order of listen() on some kernels and that of bind() on others (trap 5);
    the agent does both at once for each member, so that here they are one.
    """
    standing = [member for member in seen.members if member.bind is not None]
    return tuple(
        member.index
        for member in sorted(standing, key=lambda m: (m.listen or 0, m.bind or 0), reverse=True)
    )
