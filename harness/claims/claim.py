"""What a claim is: a sentence, its source, and the parts that confirm or refute it."""

from collections.abc import Callable, Mapping
from enum import StrEnum

from msgspec import Struct, field

from harness.matrix.evidence import Evidence, Release, Witness
from harness.model import TUNABLES


class Standing(StrEnum):
    """The result for a claim, or for a part of one."""

    CONFIRMED = "CONFIRMED"
    REFUTED = "REFUTED"
    MIXED = "MIXED"
    NOT_TESTED = "NOT TESTED"


Predicate = Callable[[Evidence], bool | None]
"""Whether a measured cell supports the claim (True) or contradicts it (False); None if neither."""

Axes = Mapping[str, tuple[str, ...]]

EACH = {"position": "both"}
"""The value of an axis at which a cell was asked at each of the others."""


class Subject(Struct, frozen=True):
    """What a part is about: systems by their name in uname, and a range of releases.

    With `others` it is all systems except those. `before` is exclusive. `setting` is a tunable and
    the value that it must have.
    """

    name: str
    systems: tuple[str, ...]
    others: bool = False
    since: Release = ()
    before: Release = ()
    setting: tuple[str, int] | None = None

    @property
    def label(self) -> str:
        """The subject in words."""
        parts = [self.name]
        parts += [f"\N{GREATER-THAN OR EQUAL TO} {_dotted(self.since)}"] if self.since else []
        parts += [f"< {_dotted(self.before)}"] if self.before else []
        parts += [f"with {self.setting[0]}={self.setting[1]}"] if self.setting else []
        return " ".join(parts)

    def includes(self, witness: Witness) -> bool:
        """Whether the guest is of this system and has the setting, whatever its release."""
        if (witness.system in self.systems) == self.others:
            return False
        return self.setting is None or witness.settings.get(self.setting[0]) == self.setting[1]

    def reaches(self, release: Release) -> bool:
        """Whether the range includes this release; a limited range has no unknown release."""
        if not self.since and not self.before:
            return True
        return (
            bool(release) and release >= self.since and (not self.before or release < self.before)
        )


def _dotted(release: Release) -> str:
    """Return a release as people write it."""
    return ".".join(map(str, release))


class Control(Struct, frozen=True):
    """Another cell of the same guest, which shows that a cell's answer means what it seems to.

    It differs in the values of `axes`. `says` is what it must show.
    """

    says: str
    axes: Mapping[str, str]
    holds: Predicate


class Part(Struct, frozen=True):
    """One question to one system: which cells decide it, and what they must show.

    A cell decides if it has one of the given values on each axis in `axes`; other axes may have any
    value. For the axes in `across`, every value must be decided before the part is confirmed: what
    holds at a specific address need not hold at the wildcard (docs/traps.md, trap 1). With a
    `control`, a cell decides only if that holds on the same guest at the same other axes.
    """

    says: str
    subject: Subject
    scenario: str
    holds: Predicate
    axes: Axes = field(default_factory=dict)
    across: tuple[str, ...] = ()
    control: Control | None = None

    def asks(self, axes: Mapping[str, str]) -> bool:
        """Whether a cell at these axes decides the part.

        A cell that sets a tunable decides only parts about that tunable: other claims are about a
        system with its own settings.
        """
        for axis, values in self.axes.items():
            if axes.get(axis) not in values:
                return False
        name, given, _ = axes.get(TUNABLES, "").partition("=")
        return not given or (self.subject.setting or ("",))[0] == name


class Claim(Struct, frozen=True):
    """A sentence that people act on; it holds if every part holds."""

    id: str
    sentence: str
    source: str
    parts: tuple[Part, ...]


def where(**axes: str) -> Axes:
    """Return the axes with their values, which are given as one text separated by spaces."""
    return {axis: tuple(values.split()) for axis, values in axes.items()}
