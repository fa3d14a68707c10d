"""Handshakes held in rounds, compared with a control: the same handshakes without a failure."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from msgspec import Struct

from harness.model import Judgement
from harness.scenarios.homes import Homes
from harness.scenarios.statistics import upper_tail
from harness.scenarios.tally import NEARLY_ALL, STRAY, kind, measured, prevailing, server, unclear
from harness.wire.observation import Fate, Flows, Observation

LATE_MS = 700
"""The longest time from SYN to ACK. A system repeats its SYN-ACK after 1 s, and DragonFly then
drops a handshake that until then belongs to another listener (docs/traps.md, trap 17)."""

CHANCE = 1e-6
"""Largest chance of the verdict `collapsed` if no more handshakes are reset than without a failure.
Of 72 survivors' handshakes 8 are enough. A kernel that resets half of them is noticed with a
probability of 1 - 1e-12, one that resets a quarter with 0.999."""

WORDS = {
    "served": "completed",
    "own": "kept",
    "reset": "reset",
    "ignored": "ignored",
    "stranded": "stranded",
    "closed": "closed",
}
"""The verdict word of each outcome. `own`: the listener that held it serves it anyway. `ignored`:
the kernel acknowledges neither the ACK nor the data after it. `stranded`: the kernel acknowledges
them, but no listener serves the connection."""

COLLAPSED = "collapsed"
"""The verdict word if the failure of one listener also resets handshakes of the others."""


def outcome(fate: Fate, *homes: int) -> str:
    """Return the outcome of a handshake that was held by one of the listeners `homes`."""
    if server(fate) in homes:
        return "own"
    return "ignored" if fate == "timeout" else kind(fate)


def named(fate: Fate, *homes: int) -> str:
    """Return the verdict word of its outcome, or the outcome itself if it has none."""
    found = outcome(fate, *homes)
    return WORDS.get(found, found)


class HeldRounds(Struct, frozen=True):
    """Handshakes held in one phase, with their fates, and their `ages` from SYN to ACK in ms.

    A fate is None if the handshake was not held, or if its ACK came too late to count.
    """

    fates: tuple[Fate | None, ...]
    ages: tuple[int, ...]
    late: int

    @classmethod
    def of(cls, held: Flows, fates: Flows, latest: int | None) -> "HeldRounds":
        """Pair the phase in which the handshakes are held with the one in which they continue."""
        ages = [done - begun for begun, done in zip(held.started, fates.started, strict=True)]
        pairs = zip(held.fates, ages, strict=True)
        told = [was == "open" and (latest is None or age <= latest) for was, age in pairs]
        aged = [age for was, age in zip(held.fates, ages, strict=True) if was == "open"]
        return cls(
            fates=tuple(f if ok else None for f, ok in zip(fates.fates, told, strict=True)),
            ages=tuple(aged),
            late=len(aged) - sum(told),
        )

    @classmethod
    def of_control(cls, held: Flows, fates: Flows, latest: int | None) -> "HeldRounds":
        """Pair the phases of the control: a handshake that was served counts, however late."""
        found, without = cls.of(held, fates, latest), cls.of(held, fates, None)
        both = zip(found.fates, without.fates, strict=True)
        kept = [late if late is not None and kind(late) == "served" else f for f, late in both]
        more = sum(fate is not None for fate in kept) - len(found.kinds)
        return cls(fates=tuple(kept), ages=found.ages, late=found.late - more)

    @property
    def kinds(self) -> Sequence[str]:
        """The kinds of the fates that count."""
        return [kind(fate) for fate in self.fates if fate is not None]


class Rounds(Struct, frozen=True):
    """An answer in rounds: the same handshakes, held and continued without and with a change.

    `gone` are the members that failed or were replaced, or the one that joined.
    """

    control: HeldRounds
    changed: HeldRounds
    homes: Homes
    gone: tuple[int, ...]
    joins: bool
    repeated: float

    @classmethod
    def of(cls, seen: Observation) -> "Rounds":
        """Read the phases of an observation."""
        repeats = seen.parameters.get("ack") == "after-repeat"
        latest = None if repeats else LATE_MS
        home, change = seen.phase("home").fates, seen.parameters.get("change")
        replaced = change == "replace"
        gone = tuple(range(seen.listeners)) if replaced else (seen.changes[0].member,)
        control = HeldRounds.of_control(seen.phase("control-held"), seen.phase("control"), latest)
        changed = HeldRounds.of(seen.phase("held"), seen.phase("fates"), latest)
        again = seen.phase("control-repeated").fates if repeats else ("open",)
        return cls(
            control=control,
            changed=changed,
            homes=Homes.of(home, changed.fates, *gone),
            gone=gone,
            joins=change == "join",
            repeated=again.count("open") / len(again),
        )

    @property
    def lost(self) -> Sequence[str]:
        """The kinds of the survivors' handshakes that were not served."""
        own = [kind(now) for _, now in self.homes.survivors]
        return [name for name in own if name != "served"]

    @property
    def reset(self) -> int:
        """How many of the survivors' handshakes were reset."""
        return self.lost.count("reset")

    @property
    def collapses(self) -> bool:
        """Whether more of the survivors' handshakes were reset than chance or guest explain."""
        total, control = len(self.homes.survivors), self.control.kinds
        usual = max(STRAY, control.count("reset") / len(control) if control else 1.0)
        return bool(total) and usual < 1 and upper_tail(total, self.reset, usual) <= CHANCE

    def counts(self) -> Mapping[str, int]:
        """Return all counts by name."""
        kinds, held = self.control.kinds, [fate for fate in self.changed.fates if fate is not None]
        return {
            "held": len(held),
            "late": self.changed.late,
            "not_held": len(self.changed.fates) - len(held) - self.changed.late,
            "control_total": len(kinds),
            **{f"control_{name}": kinds.count(name) for name in sorted(set(kinds))},
            "survivors_reset": 0,
            **self.homes.counts(lambda fate: named(fate, *self.gone), "completed"),
        }

    @property
    def figures(self) -> Mapping[str, float]:
        """How long the handshakes were held, and the share that reached their home again."""
        ages, control = self.changed.ages or (0,), self.control.ages or (0,)
        return {
            "home_kept_share": self.homes.kept,
            "held_median_ms": float(median(ages)),
            "held_longest_ms": float(max(ages)),
            "control_longest_ms": float(max(control)),
        }

    def obstacles(self) -> Iterator[str]:
        """Yield the reasons why there can be no verdict, the closest to the cause first."""
        kinds, total = self.control.kinds, len(self.changed.fates)
        if self.homes.loss is not None:
            yield self.homes.loss
        if self.repeated < NEARLY_ALL:
            yield "the kernel did not send its SYN-ACK again in time"
        if self.changed.late * 2 > total or self.control.late * 2 > total:
            late = max(self.changed.late, self.control.late)
            yield f"too slow: {late} of {total} ACKs came more than {LATE_MS} ms after their SYN"
        if prevailing(kinds) != "served":
            lost = len(kinds) - kinds.count("served")
            yield f"lossy: {lost} of {len(kinds)} handshakes were lost while nobody failed"
        if not self.joins and not self.homes.victim:
            yield f"no handshake was held with listener {self.gone[0] + 1}, which failed"
        if self.joins and not self.homes.survivors:
            yield "no handshake was held when another listener came"


def classify(seen: Observation) -> Judgement:
    """Name what happened to nearly all handshakes of the failed listener, or to the survivors'.

    An earlier phase shows which listener each handshake belongs to. The control holds the same
    handshakes for as long without a failure, so it shows whether the change or the guest lost them.
    """
    rounds = Rounds.of(seen)
    counts, figures = rounds.counts(), rounds.figures
    why = next(rounds.obstacles(), None)
    if why is not None:
        return unclear(why, counts, figures)
    total = len(rounds.homes.survivors)
    if rounds.collapses:
        return measured(f"{COLLAPSED}:{rounds.reset}/{total}", counts, figures)
    if len(rounds.lost) > (1 - NEARLY_ALL) * total:
        why = f"{len(rounds.lost)} of {total} survivors' handshakes were lost, few of them reset"
        return unclear(why, counts, figures)
    found = _joined(rounds) if rounds.joins else _failed(rounds)
    word = WORDS.get(found or "")
    if word is None:
        return unclear("its handshakes share no one fate", counts, figures)
    return measured(word, counts, figures)


def _failed(rounds: Rounds) -> str | None:
    return prevailing(outcome(now, *rounds.gone) for now in rounds.homes.victim)


def _joined(rounds: Rounds) -> str | None:
    """Return the outcome after a join: kept by their own listener, or served by any."""
    outcomes = [outcome(now, home) for home, now in rounds.homes.survivors]
    return prevailing(outcomes) or prevailing(kind(now) for _, now in rounds.homes.survivors)
