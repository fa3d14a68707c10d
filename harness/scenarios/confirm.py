"""`confirm=order`: what else than an order may decide that one member serves all.

It may be the client's address, as long as there is only one (docs/traps.md, trap 15), or which
member has sent last (trap 14). Answers to a question without this parameter rest on one address.
"""

from collections.abc import Callable, Mapping
from enum import Enum

from msgspec import Struct

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import TUN
from harness.scenarios.tally import SAME, STRAY, Tally, measured, tally, unclear
from harness.wire.observation import Observation
from harness.wire.script import DueFlows, Step

CONFIRM, ORDER = "confirm", "order"

ADDRESSES = "addresses"
"""The phase in which each client has an address of its own."""

SPOKEN = (("spoke-1", "speaker-1"), ("spoke-2", "speaker-2"))
"""Phases before which one member sends a datagram, and the facts that say which one."""

ONE_ADDRESS = "one-address"
"""The fact that says by which errno the clients can have one address only."""

Parameters = Callable[[Cell, Depth], Mapping[str, str]]


def confirming(parameters: Parameters) -> Parameters:
    """Ask to confirm an order, where the clients are sockets that send to one member."""

    def more(cell: Cell, depth: Depth) -> Mapping[str, str]:
        asked = parameters(cell, depth)
        return {**asked, CONFIRM: ORDER} if _applies(asked) else asked

    return more


def asks_addresses(asked: Mapping[str, str]) -> bool:
    """Whether there are phases with many client addresses besides those with one."""
    confirmed = asked.get(CONFIRM) == ORDER and _applies(asked)
    return confirmed and asked.get("source") != "many-addresses"


def addresses(asked: Mapping[str, str], phase: str = ADDRESSES) -> tuple[Step, ...]:
    """Return the phase with many client addresses; it is empty where it is not needed."""
    return (DueFlows(phase, None),) if asks_addresses(asked) else ()


def speakers(asked: Mapping[str, str]) -> tuple[Step, ...]:
    """Return the phases after a member has spoken; they are empty where they are not needed."""
    if asked.get(CONFIRM) != ORDER or not _applies(asked) or asked.get("protocol") != "udp":
        return ()
    return tuple(DueFlows(phase, None) for phase, _ in SPOKEN)


def _applies(asked: Mapping[str, str]) -> bool:
    return asked.get("peer") != TUN and asked.get("delivery", "unicast") == "unicast"


class Others(Enum):
    """Who serves when each client has an address of its own."""

    SAME = "the same member"
    SPREAD = "several members"
    LOST = "too few were served to tell"
    NOT_ASKED = "it was not to be confirmed"
    IMPOSSIBLE = "there is one address only"


class Addresses(Struct, frozen=True):
    """What many client addresses show; with `IMPOSSIBLE` the errno that says why."""

    others: Others
    tally: Tally
    error: str = ""

    @property
    def loss(self) -> str:
        """Why nothing can be told, with `LOST`."""
        if self.tally.flows == 0:
            return "other client addresses: not asked, the last flows were not all served by one"
        copied = f"{self.tally.copied} of {self.tally.flows} datagrams reached several listeners"
        return f"other client addresses: {self.tally.loss() or copied}"

    def counts(self, prefix: str = f"{ADDRESSES}_") -> Mapping[str, int]:
        """Return what was counted, nothing of an empty phase."""
        return self.tally.counts(prefix) if self.tally.flows else {}


def by_addresses(seen: Observation, taker: int, phase: str = ADDRESSES) -> Addresses:
    """Say what many client addresses show, where `taker` serves all flows of one address."""
    if not asks_addresses(seen.parameters):
        return Addresses(Others.NOT_ASKED, Tally.of(()))
    counted = tally(seen.phase(phase))
    if counted.flows == 0:
        error = seen.facts.get(ONE_ADDRESS)
        others = Others.LOST if error is None else Others.IMPOSSIBLE
        return Addresses(others, counted, str(error or ""))
    if counted.loss() is not None or counted.copied > STRAY * counted.flows:
        return Addresses(Others.LOST, counted)
    if counted.members.get(taker, 0) >= SAME * counted.served:
        return Addresses(Others.SAME, counted)
    return Addresses(Others.SPREAD, counted)


def follows_the_speaker(seen: Observation) -> bool:
    """Whether in both phases the member served all that had sent a datagram before it."""
    if not speakers(seen.parameters):
        return False
    return all(_served_all(seen, phase, seen.facts.get(fact)) for phase, fact in SPOKEN)


def _served_all(seen: Observation, phase: str, member: int | str | None) -> bool:
    counted = tally(seen.phase(phase))
    served = counted.members.get(member, 0) if isinstance(member, int) else 0
    return served > 0 and served >= SAME * counted.flows


def doubt(seen: Observation, taker: int) -> str | None:
    """Return why it cannot be told whether `taker` serves whoever sends; None if it can."""
    for phase, fact in SPOKEN if speakers(seen.parameters) else ():
        counted, speaker = tally(seen.phase(phase)), seen.facts.get(fact)
        if not isinstance(speaker, int) or counted.flows == 0:
            return "no listener was told to send: the last flows were not all served by one"
        if counted.members.get(taker, 0) < SAME * counted.flows:
            return f"not only listener {taker + 1} served after listener {speaker + 1} had sent"
    return None


def by_order(
    seen: Observation,
    taker: int,
    words: tuple[str, str],
    *,
    counts: Mapping[str, int],
    figures: Mapping[str, float],
) -> Judgement:
    """Name the rule by which `taker` serves all flows of one client address.

    `words` are the verdict if an order decides, and the one if other client addresses reach others.
    """
    other = by_addresses(seen, taker)
    counts = {**counts, **other.counts()}
    match other.others:
        case Others.LOST:
            return unclear(other.loss, counts, figures)
        case Others.SPREAD:
            return measured(words[1], counts, figures)
        case Others.IMPOSSIBLE:
            return measured(f"one:{other.error}", counts, figures)
    if (why := doubt(seen, taker)) is not None:
        return unclear(why, counts, figures)
    return measured(words[0], counts, figures)


def spoken_counts(seen: Observation) -> Mapping[str, int]:
    """Return who served after whom had spoken, nothing of empty phases."""
    found: dict[str, int] = {}
    for phase, fact in SPOKEN if speakers(seen.parameters) else ():
        counted, speaker = tally(seen.phase(phase)), seen.facts.get(fact)
        if isinstance(speaker, int) and counted.flows:
            found[fact.replace("-", "_")] = speaker
            found |= counted.counts(f"{phase.replace('-', '_')}_")
    return found
