"""What a scenario is: a row of data and two pure functions."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from harness.model import Cell, Depth, Judgement, State
from harness.scenarios.sense import FACT, Sense
from harness.wire.observation import Observation
from harness.wire.script import WriteScript

FULL, LEAST = 100, 25
"""Percent of one CPU: the load of a cell that keeps it busy, and the smallest load above 0."""

NO_SHUTDOWN = "no-shutdown"
"""The word for a kernel that refuses shutdown() of a listener, of the scenarios that ask for it."""

STAYS = Sense(
    FACT,
    "the kernel refused shutdown() of the listener with this errno",
    "a worker cannot leave the group this way",
    do="Retire it another way: pass the descriptor to a sibling, or leave it to a child",
    told=("The kernel refused it.", "It went on to serve {served_by_it_afterwards+} new flows."),
)
"""What `NO_SHUTDOWN` means."""

NEEDS_ROOT = "needs root"
"""The agent's sentence begins with this if root could ask the question (docs/wire.md)."""


def not_applicable(seen: Observation) -> Judgement:
    """Return `not-applicable` with the agent's reason why this guest cannot be asked."""
    why = seen.unsupported or "the agent did not say why"
    if why.startswith(NEEDS_ROOT):
        why += "; `root` in the guest file says how the agent becomes it"
    return Judgement(State.NOT_APPLICABLE, why=why)


def never_moot(_: Judgement) -> bool:
    """Say that the question arises on every kernel."""
    return False


def no_answer(seen: Observation) -> Judgement | None:
    """Return None: that a member was refused says only that the question could not be asked."""
    return None


class Scenario(Struct, frozen=True):
    """One question to a kernel: its cells, its parameters, and how its answers are judged.

    `id` is also the agent's name for the scenario. `script` gives the steps of a complete answer.
    `words` are the verdict words that `classify` may return, without the part after a `:`, each
    with what it means. `done` says what was done to the kernel, in a sentence with axes and counts
    in braces. `subject` is what the verdict is about ("queued connections"). `figure` is the
    share in `statistics` that reports show beside the word.

    `alarm` is the longest time in seconds that one question may take on a fast host. `load` is the
    percentage of a CPU that a cell keeps busy: `LEAST` or more, or 0 if it mostly waits. Cells run
    at the same time while their loads add up to at most 100; those with load 0 run beside them
    (docs/wire.md).

    `classify` gets only observations that answered: set-up errors are sorted out before, and
    `decline` judges the ones that are `unsupported`. `refuse` judges those in which the kernel
    refused a member, where that is the answer; else it returns None.

    `drawn` names two counts: how many flows something happened to, and how many flows there were.
    Name them only if it happens to each flow by chance of its own 4-tuple. Losses of a stream hit
    flows together, so they are not drawn.

    `moot` tells whether a judgement only shows that the question does not arise on that kernel.
    """

    id: str
    sentence: str
    words: Mapping[str, Sense]
    cells: Callable[[Depth], tuple[Cell, ...]]
    parameters: Callable[[Cell, Depth], Mapping[str, str]]
    script: WriteScript
    classify: Callable[[Observation], Judgement]
    alarm: float = 30.0
    load: int = FULL
    figure: str = ""
    drawn: tuple[str, str] | None = None
    done: str = ""
    subject: str = ""
    moot: Callable[[Judgement], bool] = never_moot
    decline: Callable[[Observation], Judgement] = not_applicable
    refuse: Callable[[Observation], Judgement | None] = no_answer

    @property
    def timed(self) -> bool:
        """Whether its cells must not run beside those of another scenario.

        A scenario that keeps a CPU busy for only part of the time measures durations.
        """
        return 0 < self.load < FULL
