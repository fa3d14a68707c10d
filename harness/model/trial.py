"""What is asked and what came of it: cells, judgements, trials."""

import re
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct, field

AXES = ("option", "protocol", "family", "bind", "failure")
"""The axes every scenario may have, in the order in which they are shown; more follow by name."""

TUNABLES = "tunables"
"""The axis of cells that are asked with a tunable at a value of theirs: `NAME=VALUE`."""


class Depth(StrEnum):
    """How much is asked: `quick` for a developer, `full` for the nightly matrix."""

    QUICK = "quick"
    FULL = "full"


class State(StrEnum):
    """A cell ends in exactly one of these; only `measured` carries a verdict."""

    MEASURED = "measured"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not-applicable"
    NOT_RUN = "not-run"
    INFRASTRUCTURE = "infrastructure"


class Cell(Struct, frozen=True):
    """One scenario at one point of its axes: what a row of the matrix asks of every guest."""

    scenario: str
    points: tuple[tuple[str, str], ...]

    @classmethod
    def at(cls, scenario: str, /, **axes: str) -> "Cell":
        """Make a cell; the five axes of the design come first, others in the order given.

        By position, as a file may have an axis of any name, `scenario` too.
        """
        names = [name for name in AXES if name in axes]
        names += [name for name in axes if name not in AXES]
        return cls(scenario, tuple((name, axes[name]) for name in names))

    @property
    def axes(self) -> Mapping[str, str]:
        """The point as a mapping, axis to value."""
        return MappingProxyType(dict(self.points))

    @property
    def setting(self) -> tuple[str, str] | None:
        """The tunable that is set while the cell is asked, and its value; None: all as found."""
        name, given, value = self.axes.get(TUNABLES, "").partition("=")
        return (name, value) if given else None

    def fits(self, tunables: Collection[str]) -> bool:
        """Whether a guest that has these tunables is asked."""
        return self.setting is None or self.setting[0] in tunables

    @property
    def key(self) -> str:
        """The cell in one line, unique within a catalogue, the same in every run."""
        return " ".join([self.scenario, *(f"{name}={value}" for name, value in self.points)])


class Judgement(Struct, frozen=True):
    """What one asking of one cell came to: a state, and with `measured` a verdict.

    `counts` are numbers of flows, sockets or milliseconds (the name says which); `statistics`
    are p-values and shares.
    """

    state: State
    verdict: str | None = None
    why: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    statistics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hold the two invariants: a verdict if and only if measured, a reason otherwise."""
        if (self.verdict is not None) != (self.state is State.MEASURED):
            raise ValueError(f"a verdict goes with state measured only: {self}")
        if (self.why is None) != (self.state is State.MEASURED):
            raise ValueError(f"every state but measured needs its reason: {self}")


class Trial(Struct, frozen=True):
    """One cell on one guest, with every asking of it in order.

    `started` is UTC in ISO 8601; `seconds` is the wall time of all repeats together.
    """

    guest: str
    cell: Cell
    repeats: tuple[Judgement, ...]
    started: str
    seconds: float

    @property
    def outcome(self) -> Judgement:
        """The one judgement that the repeats amount to."""
        return settle(self.repeats)


COUNTED = re.compile(r":(\d+)(?:/(\d+)|(\.\d+))$")


def word(verdict: str) -> str:
    """Return a verdict without the count or share that differs from one asking to the next.

    An errno is no count: `refused:EADDRINUSE` stays whole.
    """
    return COUNTED.sub("", verdict)


def share(verdict: str) -> float | None:
    """Return how much of all it befell, if the verdict says so: `reset:1/4` and `refused:0.25`."""
    counted = COUNTED.search(verdict)
    if counted is None:
        return None
    count, total, fraction = counted.groups()
    if total is None:
        return float(f"{count}{fraction}")
    return int(count) / int(total) if int(total) else None


def settle(repeats: Iterable[Judgement]) -> Judgement:
    """Reduce repeats to one judgement: what was measured holds, unless repeats contradict.

    A failure of the infrastructure that a later repeat made good does not count against the
    kernel; two different verdicts are never averaged but reported as `k of n`.
    """
    seen = tuple(repeats)
    measured = [repeat for repeat in seen if repeat.state is State.MEASURED]
    words = [word(repeat.verdict or "") for repeat in measured]
    if len(set(words)) > 1:
        tally = ", ".join(
            f"{one} {words.count(one)} of {len(words)}" for one in dict.fromkeys(words)
        )
        return Judgement(State.INCONCLUSIVE, why=f"repeats disagree: {tally}")
    return measured[-1] if measured else seen[-1]
