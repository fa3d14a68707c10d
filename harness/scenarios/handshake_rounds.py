"""Handshakes held in rounds: what became of them beside what becomes of them when nobody fails."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from msgspec import Struct

from harness.model import Judgement
from harness.scenarios.homes import Homes
from harness.scenarios.statistics import upper_tail
from harness.scenarios.tally import NEARLY_ALL, STRAY, kind, measured, prevailing, server, unclear
from harness.wire.observation import Fate, Flows, Observation

LATE_MS = 700
"""From SYN to ACK, at most. A system sends its SYN-ACK again after 1 s, and DragonFly then drops a
handshake that until then is another listener's (docs/traps.md, trap 17)."""

CHANCE = 1e-6
"""Largest chance of calling survivors' handshakes reset where no more are than without a failure.
Of 72 survivors' 8 are enough; a kernel that resets half of them is called so for certain
(1 - 1e-12), one that resets a quarter with 0.999."""

WORDS = {
    "served": "completed",
    "own": "kept",
    "reset": "reset",
    "ignored": "ignored",
    "stranded": "stranded",
    "closed": "closed",
}
"""Word of each outcome. `own`: the listener that had it serves it all the same; `ignored`: the ACK
and what follows it are never acknowledged; `stranded`: they are, and nobody serves."""

COLLAPSED = "collapsed"
"""The failure of one listener resets others' handshakes, too."""


def outcome(fate: Fate, home: int) -> str:
    """Return what became of a handshake that was with this listener."""
    if server(fate) == home:
        return "own"
    return "ignored" if fate == "timeout" else kind(fate)


def named(fate: Fate, home: int) -> str:
    """Return the word for what became of it, or the name of its fate if there is none."""
    found = outcome(fate, home)
    return WORDS.get(found, found)


class Held(Struct, frozen=True):
    """Handshakes of one phase that were held, and what became of them; `ages` from SYN to ACK.

    A fate is None if the handshake was not held, or its ACK came too late to be about the change.
    """

    fates: tuple[Fate | None, ...]
    ages: tuple[int, ...]
    late: int

    @classmethod
    def of(cls, held: Flows, fates: Flows, latest: int | None) -> "Held":
        """Pair the phase in which they are held with that in which they go on."""
        ages = [done - begun for begun, done in zip(held.started, fates.started, strict=True)]
        was = [fate == "open" for fate in held.fates]
        late = [
            ok and latest is not None and age > latest for ok, age in zip(was, ages, strict=True)
        ]
        told = [ok and not slow for ok, slow in zip(was, late, strict=True)]
        return cls(
            fates=tuple(f if ok else None for f, ok in zip(fates.fates, told, strict=True)),
            ages=tuple(age for age, ok in zip(ages, was, strict=True) if ok),
            late=sum(late),
        )

    @property
    def kinds(self) -> Sequence[str]:
        """What those that count are counted as."""
        return [kind(fate) for fate in self.fates if fate is not None]


class Rounds(Struct, frozen=True):
    """An answer in rounds: the same handshakes, held and completed without and with a change."""

    control: Held
    changed: Held
    homes: Homes
    joins: bool
    repeated: float

    @classmethod
    def of(cls, seen: Observation) -> "Rounds":
        """Take an observation apart."""
        repeats = seen.parameters.get("ack") == "after-repeat"
        latest = None if repeats else LATE_MS
        home = seen.phase("home").fates
        control = Held.of(seen.phase("control-held"), seen.phase("control"), latest)
        changed = Held.of(seen.phase("held"), seen.phase("fates"), latest)
        again = seen.phase("control-repeated").fates if repeats else ("open",)
        return cls(
            control=control,
            changed=changed,
            homes=Homes.of(home, changed.fates, seen.changes[0].member),
            joins=seen.parameters.get("change") == "join",
            repeated=again.count("open") / len(again),
        )

    @property
    def lost(self) -> Sequence[str]:
        """What became of survivors' handshakes that nobody has served."""
        own = [kind(now) for _, now in self.homes.survivors]
        return [name for name in own if name != "served"]

    @property
    def reset(self) -> int:
        """How many of the survivors' handshakes were reset."""
        return self.lost.count("reset")

    @property
    def collapses(self) -> bool:
        """Whether more of the survivors' were reset than chance, or the guest, makes of it."""
        total, control = len(self.homes.survivors), self.control.kinds
        usual = max(STRAY, control.count("reset") / len(control) if control else 1.0)
        return bool(total) and usual < 1 and upper_tail(total, self.reset, usual) <= CHANCE

    def counts(self, failed: int) -> Mapping[str, int]:
        """Count everything."""
        kinds, held = self.control.kinds, [fate for fate in self.changed.fates if fate is not None]
        return {
            "held": len(held),
            "late": self.changed.late,
            "not_held": len(self.changed.fates) - len(held) - self.changed.late,
            "control_total": len(kinds),
            **{f"control_{name}": kinds.count(name) for name in sorted(set(kinds))},
            "survivors_reset": 0,
            **self.homes.counts(lambda fate: named(fate, failed), "completed"),
        }

    @property
    def figures(self) -> Mapping[str, float]:
        """How long they were held, and whether they came home."""
        ages, control = self.changed.ages or (0,), self.control.ages or (0,)
        return {
            "home_kept_share": self.homes.kept,
            "held_median_ms": float(median(ages)),
            "held_longest_ms": float(max(ages)),
            "control_longest_ms": float(max(control)),
        }

    def obstacles(self, failed: int) -> Iterator[str]:
        """Yield why no verdict can be given, the nearest reason first."""
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
            yield f"no handshake was held with listener {failed + 1}, which failed"
        if self.joins and not self.homes.survivors:
            yield "no handshake was held when another listener came"


def classify(seen: Observation) -> Judgement:
    """Name what became of nearly all handshakes of the listener that failed, or of the others'.

    Whose they were is known from before. That the others' were lost by the change, and not by the
    guest, is known from the control: the same ones, held as long while nobody failed.
    """
    failed, rounds = seen.changes[0].member, Rounds.of(seen)
    counts, figures = rounds.counts(failed), rounds.figures
    why = next(rounds.obstacles(failed), None)
    if why is not None:
        return unclear(why, counts, figures)
    total = len(rounds.homes.survivors)
    if rounds.collapses:
        return measured(f"{COLLAPSED}:{rounds.reset}/{total}", counts, figures)
    if len(rounds.lost) > (1 - NEARLY_ALL) * total:
        why = f"{len(rounds.lost)} of {total} survivors' handshakes were lost, few of them reset"
        return unclear(why, counts, figures)
    found = _joined(rounds) if rounds.joins else _failed(rounds, failed)
    word = WORDS.get(found or "")
    if word is None:
        return unclear("its handshakes share no one fate", counts, figures)
    return measured(word, counts, figures)


def _failed(rounds: Rounds, failed: int) -> str | None:
    return prevailing(outcome(now, failed) for now in rounds.homes.victim)


def _joined(rounds: Rounds) -> str | None:
    """Nobody has failed: are they served by whom they were with, or by anybody?"""
    outcomes = [outcome(now, home) for home, now in rounds.homes.survivors]
    return prevailing(outcomes) or prevailing(kind(now) for _, now in rounds.homes.survivors)
