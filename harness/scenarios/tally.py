"""Counting fates: the kinds of fate that all scenarios count, and the bounds they share."""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from harness.model import Judgement, State
from harness.wire.observation import Fate, Flows, Observation

STRAY = 0.01
"""Share of a phase's flows that may go astray without making or spoiling a verdict. On loopback
NetBSD repeats the SYN of 3 to 5 of 1000 connects, after 6 s, and a full buffer may drop a datagram
(docs/traps.md, trap 9)."""

NEARLY_ALL = 0.95
"""Share of the flows in question that must have the same fate before it is the verdict."""

SAME = 1 - STRAY
"""Share of repeated 4-tuples that must reach the same member before the 4-tuple decides it."""

TOO_FEW = "flows are too few to"

RESETS = frozenset({"ECONNRESET", "ECONNABORTED", "EPIPE"})
"""What a client's call may report after an RST; it depends on the system and the call."""

REFUSED = "ECONNREFUSED"

KINDS = {
    REFUSED: "refused",
    "eof": "closed",
    "timeout": "stranded",
    "open": "stranded",
    "ETIMEDOUT": "stranded",
}
"""The kind of every other fate. `stranded`: neither served nor ended."""


def server(fate: Fate) -> int | None:
    """Return the member that answered; None if none or several did."""
    if isinstance(fate, int):
        return fate
    if isinstance(fate, tuple) and len(set(fate)) == 1:
        return fate[0]
    return None


def kind(fate: Fate) -> str:
    """Return what a fate counts as: `served`, `copied`, `reset`, or as in `KINDS`."""
    if isinstance(fate, int):  # nearly all are
        return "served"
    if not isinstance(fate, str):
        return "served" if server(fate) is not None else "copied"
    if fate in RESETS:
        return "reset"
    return KINDS.get(fate, fate)


class Tally(Struct, frozen=True):
    """How many flows each member served, how many were copied to several, and the other fates."""

    flows: int
    members: Mapping[int, int]
    copied: int
    unserved: Mapping[str, int]

    @classmethod
    def of(cls, fates: Iterable[Fate]) -> "Tally":
        """Count the fates of a phase, or of part of one."""
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
        """Flows that no member served."""
        return sum(self.unserved.values())

    def share(self, count: int) -> float:
        """Return a count as a share of all flows; 0 if there are none."""
        return count / self.flows if self.flows else 0.0

    def counts(self, prefix: str = "") -> dict[str, int]:
        """Return all counts by name, such as `flows`, `member_2`, `timeout`, `ECONNRESET`."""
        found = {f"member_{index}": self.members[index] for index in sorted(self.members)}
        found |= {"copied": self.copied} if self.copied else {}
        found |= {fate: self.unserved[fate] for fate in sorted(self.unserved)}
        return {f"{prefix}{name}": count for name, count in {"flows": self.flows, **found}.items()}

    def loss(self) -> str | None:
        """Return a sentence if more than `STRAY` of the flows were lost, else None."""
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
    """Return the judgement of a measured cell, with its evidence."""
    return Judgement(State.MEASURED, verdict, counts=counts, statistics=statistics or {})


def unclear(
    why: str, counts: Mapping[str, int], statistics: Mapping[str, float] | None = None
) -> Judgement:
    """Return the judgement `inconclusive` with the reason and the counts."""
    return Judgement(State.INCONCLUSIVE, why=why, counts=counts, statistics=statistics or {})


def too_few(flows: int, what: str) -> str:
    """Return why a question has no verdict: its error rate asks for more flows."""
    return f"{flows} {TOO_FEW} {what}"


def had_too_few(judgement: Judgement) -> bool:
    """Return whether a cell has no verdict because of too few flows; ask it again."""
    return judgement.state is State.INCONCLUSIVE and TOO_FEW in (judgement.why or "")


def prevailing(kinds: Iterable[str]) -> str | None:
    """Return the kind that at least `NEARLY_ALL` of them are; None if there is none."""
    counted = Counter(kinds)
    for name, count in counted.most_common(1):
        if count >= NEARLY_ALL * counted.total():
            return name
    return None


def newest_first(seen: Observation) -> tuple[int, ...]:
    """Return the members that are up, from the last to listen (datagrams: to bind) to the first.

    Groups follow the order of listen() on some kernels and of bind() on others (trap 5). The agent
    does both at once for each member, so here the two orders are the same.
    """
    standing = [member for member in seen.members if member.bind is not None]
    return tuple(
        member.index
        for member in sorted(standing, key=lambda m: (m.listen or 0, m.bind or 0), reverse=True)
    )
