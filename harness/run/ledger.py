"""Keeps, judges and reports the result of each question, and decides what is asked once more."""

from collections.abc import Sequence

from msgspec.structs import replace

from harness.errors import AgentError, ElsewhereError, InfrastructureError, Phase
from harness.judge import death, starved
from harness.model import Judgement, State, Trial
from harness.run.batches import Pending
from harness.run.guest_job import GuestJob
from harness.store import Asked, Failure, judged
from harness.wire.replies import Reply

ATTEMPTS = 2
"""A cell that failed, or whose guest got too little CPU, is asked once more on a fresh guest. Both
results are kept."""

LEFT_OUT = AgentError(Phase.SCENARIO, "the agent left this question out")


class Ledger:
    """The questions of one life of a guest; `done` of `total` cells were settled before it.

    `found` gets the judgement of each settled cell. `answers` counts the questions that got an
    answer, whole or not.
    """

    def __init__(
        self,
        subject: GuestJob,
        done: int,
        total: int,
        found: dict[Pending, Judgement],
    ) -> None:
        self._subject = subject
        self._done = done
        self._total = total
        self.answers = 0
        self._found = found

    def settle(
        self,
        asked: Sequence[tuple[Pending, Asked]],
        said: Sequence[Reply],
        failure: InfrastructureError | None,
    ) -> list[Pending]:
        """Record the result of each question of a batch; return the questions to ask once more.

        If the guest is lost, one cell without a whole answer gets the blame. It is the first of the
        cells with a load: these run one after the other, so it was running. Cells that only wait
        run at the same time, and they seldom kill a guest; they are simply asked again. If its
        machine is lost, no cell gets the blame.
        """
        replies = {reply.id: reply for reply in said}
        # A failure is blamed on one cell only. A question that the agent left out, without any
        # failure, is blamed on itself.
        blame: InfrastructureError | None = failure or LEFT_OUT
        elsewhere = isinstance(failure, ElsewhereError)
        again: list[Pending] = []
        for asking, line in sorted(asked, key=lambda one: one[0].scenario.load == 0):
            reply = replies.get(line.id)
            raw = b"".join(one.raw for one in said if one.id == line.id)  # two count as none
            if reply is not None and (reply.status is not None or failure is None):
                again += self._put_down(asking, _took(line, reply), raw)
            elif self._subject.cancellation.said or elsewhere or blame is None:
                again.append(asking)
            else:
                again += self._put_down(asking, _failed(line, blame), raw)
                blame = None if failure else LEFT_OUT
        return again

    def give_up(self, asking: Pending, line: Asked, failure: InfrastructureError) -> None:
        """Record the failure that keeps a cell from being asked; it is not asked again."""
        self._put_down(Pending(asking.cell, ATTEMPTS), _failed(line, failure), b"")

    def _put_down(self, asking: Pending, line: Asked, raw: bytes) -> list[Pending]:
        """Write an answer, or its absence, to the journal and only then judge it.

        Return the question again if it needs another attempt, else an empty list.
        """
        line = self._subject.record.answered(line, raw)
        self.answers += bool(raw)
        judgement = judged(line, raw)
        in_vain = judgement.state is State.INFRASTRUCTURE or starved(judgement)
        if in_vain and asking.attempt < ATTEMPTS:
            return [Pending(asking.cell, asking.attempt + 1)]
        self._found[asking] = judgement
        self._done += 1
        trial = Trial(
            self._subject.guest.label, asking.cell, (judgement,), line.started, line.seconds
        )
        self._subject.progress.trial(trial, self._done, self._total)
        return []


def _failed(line: Asked, failure: InfrastructureError) -> Asked:
    said = Failure(failure.phase, str(failure), failure.seconds, failure.console)
    return replace(line, failure=said)


def _took(line: Asked, reply: Reply) -> Asked:
    """Add the time that the question took in the guest, and how its process ended.

    That a signal ended it is a fact, no judgement, so it stays a failure if rules change.
    """
    seconds = reply.took / 1000
    line = replace(line, status=reply.status, seconds=seconds)
    if not reply.signal:
        return line
    why = death(reply.signal, line.parameters)
    return replace(line, failure=Failure(Phase.SCENARIO, why, seconds if seconds else None))
