"""Scripts: the steps of a complete answer, in order (docs/wire.md, "What each scenario does").

Each scenario has its own script, and `wire.replies` checks every answer against it.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile

from msgspec import Struct
from msgspec.structs import replace

from harness.wire.observation import Observation, number

AS_ASKED = 0
"""As a step's count: the number of flows that the question asks for. A real count is never 0."""

FEW = 16
"""Flows of a phase that only shows whether any listener serves. No question changes this."""


class DueMember(Struct, frozen=True):
    """A member with this index. If the kernel refuses it, the answer ends here."""

    index: int


class DueFlows(Struct, frozen=True):
    """A phase with `count` flows; None if the number depends on what happens in the trial."""

    phase: str
    count: int | None = AS_ASKED


class DueChanges(Struct, frozen=True):
    """`count` changes of members in a row. With `until_refused`, the first that fails ends them.

    `each` is the fact that says how often they come; without it, they come once.
    """

    count: int = 1
    until_refused: bool = False
    each: str = ""


class DueAttempt(Struct, frozen=True):
    """An attempt named `what`. If it is `needed` and fails, the answer ends here."""

    what: str
    needed: bool = False


class DueFact(Struct, frozen=True):
    """A fact with this name whose value is a number."""

    name: str


Step = DueMember | DueFlows | DueChanges | DueAttempt | DueFact


class Script(Struct, frozen=True):
    """The steps of an answer. `group` names the parameter that sets how many sockets may serve.

    `generations` replaces it where what serves is a configuration, and is their number.
    """

    steps: tuple[Step, ...] = ()
    group: str = "listeners"
    generations: int = 0

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
        """The number of all changes."""
        return sum(step.count for step in self.steps if isinstance(step, DueChanges))

    @property
    def attempts(self) -> tuple[str, ...]:
        """The names of the attempts, in order."""
        return tuple(step.what for step in self.steps if isinstance(step, DueAttempt))

    @property
    def facts(self) -> tuple[str, ...]:
        """The names of the numeric facts."""
        return tuple(step.name for step in self.steps if isinstance(step, DueFact))

    def flows(self, asked: Mapping[str, str]) -> Mapping[str, int | None]:
        """Return the number of flows by phase; None if it depends on what happens in the trial."""
        usual = number(asked, "flows")
        return {
            step.phase: usual if step.count == AS_ASKED else step.count
            for step in self.steps
            if isinstance(step, DueFlows)
        }

    def as_far_as(self, seen: Observation) -> "Script":
        """Return the part of the script that the agent can reach after what the kernel refused.

        Changes that come as often as a fact says are counted out.
        """
        steps = tuple(_counted(self.steps, seen))
        return replace(self, steps=steps)._as_far_as(seen)

    def _as_far_as(self, seen: Observation) -> "Script":
        # A member that is refused ends the answer before anything else could go wrong.
        refused = seen.refusal()
        if refused is not None:
            return self._until({DueMember(refused.index)}) or Script(group=self.group)
        failed = [tried.what for tried in seen.attempts if tried.error is not None]
        script = self._until({DueAttempt(what, needed=True) for what in failed}) or self
        if seen.changes and seen.changes[-1].error is not None:
            return replace(script, steps=tuple(_given_up(script.steps, len(seen.changes))))
        return script

    def _until(self, last: set[Step]) -> "Script | None":
        """Return the script up to the first of these steps, included; None if it has none."""
        before = tuple(takewhile(lambda step: step not in last, self.steps))
        if len(before) == len(self.steps):
            return None
        return replace(self, steps=self.steps[: len(before) + 1])


def _counted(steps: Iterable[Step], seen: Observation) -> Iterable[Step]:
    """Yield the steps, with `each` turned into a count."""
    for step in steps:
        if isinstance(step, DueChanges) and step.each:
            times = seen.facts.get(step.each)
            count = step.count * times if isinstance(times, int) else 0
            yield replace(step, count=count, each="")
        else:
            yield step


def _given_up(steps: Iterable[Step], changes: int) -> Iterable[Step]:
    """Yield the steps, with at most `changes` changes where a failed one ends them."""
    for step in steps:
        if isinstance(step, DueChanges) and step.until_refused:
            yield replace(step, count=min(step.count, changes))
        else:
            yield step


WriteScript = Callable[[Mapping[str, str]], Script]
"""Returns the script for a question's parameters."""

Scripts = Mapping[str, WriteScript]
"""The script of every question, by the agent's name for the question."""


def members(indexes: Iterable[int]) -> tuple[Step, ...]:
    """Return a step for the member of each index, in order."""
    return tuple(DueMember(index) for index in indexes)


def members_then(*steps: Step) -> WriteScript:
    """Return a script in which all `listeners` are set up, followed by these steps."""

    def script(asked: Mapping[str, str]) -> Script:
        return Script((*members(range(number(asked, "listeners"))), *steps))

    return script
