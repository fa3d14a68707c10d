"""Questions and their results: cells, judgements, trials."""

import re
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct, field

AXES = ("option", "protocol", "family", "bind", "failure")
"""The axes that every scenario may have, in the order of display. Other axes follow by name."""

TUNABLES = "tunables"
"""The axis of cells that are asked with a tunable set to a value: `NAME=VALUE`."""


class Depth(StrEnum):
    """The size of the catalogue: `quick` for a developer, `full` for the nightly matrix."""

    QUICK = "quick"
    FULL = "full"


class State(StrEnum):
    """A cell ends in exactly one of these states; only `measured` has a verdict."""

    MEASURED = "measured"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not-applicable"
    NOT_RUN = "not-run"
    INFRASTRUCTURE = "infrastructure"


class Cell(Struct, frozen=True, cache_hash=True, gc=False):
    """One scenario at one point of its axes. A row of the matrix asks it of every guest."""

    scenario: str
    points: tuple[tuple[str, str], ...]

    @classmethod
    def at(cls, scenario: str, /, **axes: str) -> "Cell":
        """Make a cell: `AXES` come first, other axes in the order given.

        `scenario` is positional only, because a file may contain an axis of that name.
        """
        names = [name for name in AXES if name in axes]
        names += [name for name in axes if name not in AXES]
        return cls(scenario, tuple((name, axes[name]) for name in names))

    @property
    def axes(self) -> Mapping[str, str]:
        """The value of each axis."""
        return MappingProxyType(dict(self.points))

    @property
    def setting(self) -> tuple[str, str] | None:
        """The tunable that is set while the cell is asked, and its value; None if none is set."""
        name, given, value = self.axes.get(TUNABLES, "").partition("=")
        return (name, value) if given else None

    def fits(self, tunables: Collection[str]) -> bool:
        """Return whether a guest with these tunables can be asked."""
        return self.setting is None or self.setting[0] in tunables

    @property
    def key(self) -> str:
        """The cell in one line, unique within a catalogue, the same in every run."""
        return " ".join([self.scenario, *(f"{name}={value}" for name, value in self.points)])


class Judgement(Struct, frozen=True):
    """The result of asking one cell once: a state, and a verdict if it is `measured`.

    `counts` are numbers of flows, sockets or milliseconds (see the name); `statistics` are p-values
    and shares.
    """

    state: State
    verdict: str | None = None
    why: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    statistics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that a measured cell has a verdict, and that any other has a reason instead."""
        if (self.verdict is not None) != (self.state is State.MEASURED):
            raise ValueError(f"only state measured can have a verdict: {self}")
        if (self.why is None) != (self.state is State.MEASURED):
            raise ValueError(f"every state except measured needs a reason: {self}")


class Trial(Struct, frozen=True):
    """One cell on one guest, with all repeats in order.

    `started` is UTC in ISO 8601; `seconds` is the wall time of all repeats together.
    """

    guest: str
    cell: Cell
    repeats: tuple[Judgement, ...]
    started: str
    seconds: float

    @property
    def outcome(self) -> Judgement:
        """The one judgement that follows from the repeats (`settle`)."""
        return settle(self.repeats)


_COUNT = re.compile(r"(\d+)(?:/(\d+)|(\.\d+))")


def word(verdict: str) -> str:
    """Return a verdict without its count or share, which differs from one repeat to the next.

    Left out is also for how many ms a server was `down`. An errno or another plain number is not a
    count: `refused:EADDRINUSE` stays whole.
    """
    first, _, last = verdict.rpartition(":")
    counted = _COUNT.fullmatch(last) or (first == "down" and last.isdecimal())
    return first if first and counted else verdict


def share(verdict: str) -> float | None:
    """Return the share in a verdict such as `reset:1/4` or `refused:0.25`; None if it has none."""
    first, _, last = verdict.rpartition(":")
    counted = _COUNT.fullmatch(last)
    if not first or counted is None:
        return None
    count, total, fraction = counted.groups()
    if total is None:
        return float(f"{count}{fraction}")
    return int(count) / int(total) if int(total) else None


def settle(repeats: Iterable[Judgement]) -> Judgement:
    """Reduce repeats to one judgement: the last measured one, unless the verdicts differ.

    A repeat that failed does not count if another one was measured. Different verdicts are never
    averaged: the cell is inconclusive, and `k of n` is reported for each.
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
