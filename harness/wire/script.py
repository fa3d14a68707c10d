"""What a whole answer consists of, step by step (docs/wire.md, "What each scenario does").

Every scenario writes its own; `wire.replies` holds an answer against it.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile

from msgspec import Struct
from msgspec.structs import replace

from harness.wire.observation import Observation, number

AS_ASKED = 0
"""Stands for the number of flows that the question asks for, which is at least 1."""

FEW = 16
"""Flows of a phase that only shows whether somebody serves; no question says another number."""


class DueMember(Struct, frozen=True):
    """A member of that index. The answer ends with one that the kernel refuses."""

    index: int


class DueFlows(Struct, frozen=True):
    """A phase with so many flows; None: their number depends on how things went."""

    phase: str
    count: int | None = AS_ASKED


class DueChanges(Struct, frozen=True):
    """So many changes of members in a row; `until_refused`: the first that fails is the last."""

    count: int = 1
    until_refused: bool = False


class DueAttempt(Struct, frozen=True):
    """An attempt of that name; `needed`: if it fails the answer ends with it."""

    what: str
    needed: bool = False


class DueFact(Struct, frozen=True):
    """A number that is said under that name."""

    name: str


Step = DueMember | DueFlows | DueChanges | DueAttempt | DueFact


class Script(Struct, frozen=True):
    """The steps of an answer; `group` is the parameter that says how many sockets may serve."""

    steps: tuple[Step, ...] = ()
    group: str = "listeners"

    @property
    def phases(self) -> tuple[str, ...]:
        """The names of the phases, in order."""
        return tuple(step.phase for step in self.steps if isinstance(step, DueFlows))

    @property
    def members(self) -> tuple[int, ...]:
        """The members' indexes, in the order in which they bind."""
        return tuple(step.index for step in self.steps if isinstance(step, DueMember))

    @property
    def changes(self) -> int:
        """How many changes there are in all."""
        return sum(step.count for step in self.steps if isinstance(step, DueChanges))

    @property
    def attempts(self) -> tuple[str, ...]:
        """The names of the attempts, in order."""
        return tuple(step.what for step in self.steps if isinstance(step, DueAttempt))

    @property
    def facts(self) -> tuple[str, ...]:
        """The names of the numbers that are said."""
        return tuple(step.name for step in self.steps if isinstance(step, DueFact))

    def flows(self, asked: Mapping[str, str]) -> Mapping[str, int | None]:
        """Return how many flows each phase has; None where it depends on how things went."""
        usual = number(asked, "flows")
        return {
            step.phase: usual if step.count == AS_ASKED else step.count
            for step in self.steps
            if isinstance(step, DueFlows)
        }

    def as_far_as(self, seen: Observation) -> "Script":
        """Return how far it goes with what the kernel refused."""
        refused = seen.refusal()
        if refused is not None:
            return self._until({DueMember(refused.index)}) or Script(group=self.group)
        failed = [tried.what for tried in seen.attempts if tried.error is not None]
        script = self._until({DueAttempt(what, needed=True) for what in failed}) or self
        if seen.changes and seen.changes[-1].error is not None:
            return replace(script, steps=tuple(_given_up(script.steps, len(seen.changes))))
        return script

    def _until(self, last: set[Step]) -> "Script | None":
        """Return what ends with the first of these steps; None if it has none of them."""
        before = tuple(takewhile(lambda step: step not in last, self.steps))
        if len(before) == len(self.steps):
            return None
        return replace(self, steps=self.steps[: len(before) + 1])


def _given_up(steps: Iterable[Step], changes: int) -> Iterable[Step]:
    """Yield the steps, with no more than so many changes of those that a failure ends."""
    for step in steps:
        if isinstance(step, DueChanges) and step.until_refused:
            yield replace(step, count=min(step.count, changes))
        else:
            yield step


WriteScript = Callable[[Mapping[str, str]], Script]
"""Gives the script of a question, whose parameters it takes."""

Scripts = Mapping[str, WriteScript]
"""Every question that may be asked, by the agent's name for it."""


def members(indexes: Iterable[int]) -> tuple[Step, ...]:
    """Return members of these indexes, in this order."""
    return tuple(DueMember(index) for index in indexes)


def members_then(*steps: Step) -> WriteScript:
    """Give the script in which all `listeners` stand, and then come these steps."""

    def script(asked: Mapping[str, str]) -> Script:
        return Script((*members(range(number(asked, "listeners"))), *steps))

    return script
