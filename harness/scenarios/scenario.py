"""What a scenario is: a row of data and two pure functions."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from harness.model import Cell, Depth, Judgement, State
from harness.wire.observation import Observation
from harness.wire.script import WriteScript

FULL, LEAST = 100, 25
"""Percent: the load of a cell that keeps a CPU busy, and the least that is one."""

NEEDS_ROOT = "needs root"
"""What the agent's sentence begins with where another user could ask (docs/wire.md)."""


def not_applicable(seen: Observation) -> Judgement:
    """Take the agent's word for it that the question cannot be asked of this guest."""
    why = seen.unsupported or "the agent did not say why"
    if why.startswith(NEEDS_ROOT):
        why += "; `root` in the guest file says how the agent becomes it"
    return Judgement(State.NOT_APPLICABLE, why=why)


class Scenario(Struct, frozen=True):
    """One question to a kernel: where it is asked, with which parameters, how it is judged.

    `id` is also the agent's name for it. `script` is what a whole answer consists of. `words` are
    the verdict words that `classify` may give, before any `:`; `figure` is the share of
    `statistics` that is shown beside the word. `alarm` is the longest that one asking may take on a
    fast host, in seconds. `load` is how many percent of a CPU a cell is busy for, `LEAST` or more,
    or 0 if it mostly waits: cells are asked at once as long as their loads add to no more than 100,
    beside those that wait (docs/wire.md). `classify` is given observations that answered: set-up
    errors and `unsupported` are told apart before. `decline` judges those that are `unsupported`.
    `drawn` names two counts: of so many flows (the second) so many (the first) met with something,
    each by the luck of its own 4-tuple. What befalls flows together, as the losses of a stream do,
    is not drawn.
    """

    id: str
    sentence: str
    words: tuple[str, ...]
    cells: Callable[[Depth], tuple[Cell, ...]]
    parameters: Callable[[Cell, Depth], Mapping[str, str]]
    script: WriteScript
    classify: Callable[[Observation], Judgement]
    alarm: float = 30.0
    load: int = FULL
    figure: str = ""
    drawn: tuple[str, str] | None = None
    decline: Callable[[Observation], Judgement] = not_applicable

    @property
    def timed(self) -> bool:
        """Whether its cells are to meet none of another scenario: one that is busy for a part of
        the time, and idle for the rest, is about how long things take.
        """
        return 0 < self.load < FULL
