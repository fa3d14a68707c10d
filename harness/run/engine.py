"""Measures one guest: asks its cells in as many lives as that takes, and doubtful ones again."""

import logging
from collections.abc import Mapping, Sequence

from harness import clocks
from harness.deadline import Deadline
from harness.errors import ElsewhereError, InfrastructureError, NotRunError
from harness.model import Cell, Guest, Judgement
from harness.run.batches import Pace, Pending, batches
from harness.run.doubt import doubtful
from harness.run.guest_job import GuestJob
from harness.run.ledger import ATTEMPTS
from harness.run.life import Life
from harness.wire.replies import visible

logger = logging.getLogger(__name__)

LIVES_IN_VAIN = 2
"""A guest that gives no answer in this many lives in a row is given up."""


def measure(subject: GuestJob, cells: Sequence[Cell]) -> None:
    """Ask every cell of the guest and write the results to the journal.

    A failure of the guest goes to the journal, too, and is not raised. A cancelled run ends early
    and keeps the answers it has. A guest that exceeds its total time is given up, so that it cannot
    keep the others waiting for ever.

    Raise `ElsewhereError` if cells are left that another machine must be asked. What this one
    answered is kept.
    """
    todo: Sequence[Pending] = [Pending(cell) for cell in cells]
    limit = _limit(subject, todo)
    found: dict[Pending, Judgement] = {}
    try:
        _asked(subject, todo, limit, found)
    except ElsewhereError as exc:
        if subject.cancellation.said:
            return
        exc.answered = frozenset(asking.cell for asking in found)
        if exc.answered != set(cells):
            raise
        _warn(subject.guest, exc)


def _asked(
    subject: GuestJob, todo: Sequence[Pending], limit: Deadline, found: dict[Pending, Judgement]
) -> None:
    """Ask these questions, and then the doubtful ones again."""
    _lives(subject, todo, limit, found)
    # Once more, on a fresh guest, what contradicts its neighbours or had too few flows. Both
    # answers are kept.
    doubted = _doubted(found)
    if doubted and not (subject.cancellation.said or limit.passed):
        logger.info("%s: %d cells are doubtful and asked again", subject.guest.label, len(doubted))
        _lives(subject, doubted, limit, found)


def _doubted(found: Mapping[Pending, Judgement]) -> list[Pending]:
    """Return the questions that a doubtful verdict asks for; none is asked a third time."""
    again = doubtful({asking.cell: judgement for asking, judgement in found.items()})
    return [Pending(cell, ATTEMPTS) for cell in again if Pending(cell, ATTEMPTS) not in found]


def _lives(
    subject: GuestJob, todo: Sequence[Pending], limit: Deadline, found: dict[Pending, Judgement]
) -> None:
    """Ask these questions in as many lives of the guest as that takes."""
    total, in_vain = len(todo), 0
    while todo and not subject.cancellation.said:
        life = Life(subject, todo, limit, total, found)
        failure: InfrastructureError | None = None
        try:
            life.run()
        except NotRunError as exc:
            # Another boot cannot help: this machine lacks what the guest needs.
            subject.record.not_run(str(exc), exc.hint)
            return
        except ElsewhereError:
            raise
        except InfrastructureError as exc:
            failure = exc
            # A cancellation ends the guest's connection, so the failure that follows is expected.
            if not subject.cancellation.said:
                _warn(subject.guest, exc)
        todo = life.left
        in_vain = 0 if life.answers else in_vain + 1
        hopeless = in_vain >= LIVES_IN_VAIN or limit.passed
        if failure is not None and hopeless and not subject.cancellation.said:
            life.give_up(failure)
            return


def _limit(subject: GuestJob, todo: Sequence[Pending]) -> Deadline:
    """Return the deadline for all lives of the guest; `UsageError` if a question's limits clash."""
    for asking in todo:
        parameters = asking.scenario.parameters(asking.cell, subject.depth)
        clocks.check(asking.scenario, parameters)
    pace = Pace(slow=True)
    # A second life asks one scenario at a time, which takes longer, so the limit allows for that.
    made = batches(todo, subject.depth, pace, apart=True)
    asked = [(one.scenarios, one.rounds(pace)) for one in made]
    return Deadline(clocks.life(subject.guest, asked), subject.cancellation)


def _warn(guest: Guest, failure: InfrastructureError) -> None:
    """Log what failed, when, and what to do; also the last lines of the console."""
    after = f" after {failure.seconds:.1f} s" if failure.seconds is not None else ""
    logger.warning("%s: %s%s: %s", guest.label, failure.phase, after, failure)
    if failure.hint is not None:
        logger.warning("%s: hint: %s", guest.label, failure.hint)
    for line in failure.last_lines:
        logger.warning("%s: console: %s", guest.label, visible(line))
