"""Measures one guest: boots it, asks its cells, keeps every answer, boots afresh what died."""

import itertools
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from harness.agent import Agent, Builder, Question
from harness.deadline import Cancellation, Deadline
from harness.errors import AgentError, BootError, InfrastructureError, NotRunError, Phase
from harness.model import Cell, Depth, Guest, State, Trial
from harness.protocols import Progress, Provider, Transport
from harness.scenarios import CATALOGUE
from harness.scenarios.scenario import Scenario
from harness.store import Asked, Failure, GuestMet, GuestRecord, judged
from harness.wire import Reply, parse, visible

logger = logging.getLogger(__name__)

ATTEMPTS = 2
"""A cell that failed is asked once more on a fresh guest; both results are kept."""

LIVES_IN_VAIN = 2
"""So often in a row a guest may live without one answer before what is left is given up."""

BOOT_SECONDS = 900.0
"""Longest that anything before the first command may take (packages are fetched here); the
provider's own boot time-out, scaled by the slow-host factor, is far below it."""

FACTS_SECONDS = 20.0

BATCH, ROUNDS, BATCH_FLOWS = 12, 6, 80_000
"""Questions in one command, at most: so many, or so many rounds of those that are asked at once,
and so many flows. A guest that hangs costs the time of one batch; cells that wait do so together
only within one; what a command says has to be kept whole (`transport.shell.CAP`)."""

ALARMED, USUAL = 3, 0.25
"""A batch may take so many alarms, and for each question so much of one, before its transport
gives up: waiting for every alarm of a guest that hangs would take hours."""

MARGIN_SECONDS = 10.0
"""What a batch may take on top of that, and the agent on top of an alarm before it speaks."""

TAIL = 12
"""Lines of a console that are shown of a guest that did not come up."""


class Asking(Struct, frozen=True):
    """A cell that is still to be asked, for the `attempt`th time."""

    cell: Cell
    attempt: int = 1


class Subject(Struct, frozen=True):
    """What is measured, with what, and who is told."""

    guest: Guest
    depth: Depth
    provider: Provider
    builder: Builder
    record: GuestRecord
    progress: Progress
    cancellation: Cancellation


def measure(subject: Subject, cells: Sequence[Cell]) -> None:
    """Ask every cell of the guest and journal what came of it; no failure of a guest is raised.

    Ends early, with what was asked kept, when cancelled.
    """
    todo: Sequence[Asking] = [Asking(cell) for cell in cells]
    in_vain = 0
    while todo and not subject.cancellation.said:
        life = Life(subject, todo, total=len(cells))
        failure: InfrastructureError | None = None
        try:
            life.run()
        except NotRunError as exc:
            subject.record.not_run(str(exc), exc.hint)
            return
        except InfrastructureError as exc:
            failure = exc
            if not subject.cancellation.said:
                _warn(subject.guest, exc)
        todo = life.left
        in_vain = 0 if life.answers else in_vain + 1
        if failure is not None and in_vain >= LIVES_IN_VAIN and not subject.cancellation.said:
            life.give_up(failure)
            return


def _warn(guest: Guest, failure: InfrastructureError) -> None:
    """Say what failed and what to do; of a guest that did not come up, also its last words."""
    logger.warning("%s: %s: %s", guest.name, failure.phase, failure)
    if failure.hint is not None:
        logger.warning("%s: hint: %s", guest.name, failure.hint)
    if isinstance(failure, BootError):
        for line in failure.console.splitlines()[-TAIL:]:
            logger.warning("%s: console: %s", guest.name, visible(line))


class Life:
    """One life of a guest: from boot to the last question, or to its death.

    `left` is what another life has to ask; `answers` counts what this one brought.
    """

    def __init__(self, subject: Subject, todo: Sequence[Asking], total: int) -> None:
        self.subject = subject
        self.left = list(todo)
        self.answers = 0
        self._total = total
        self._done = total - len(todo)
        self._factor = 1.0
        self._common: dict[str, str] = {}

    def run(self) -> None:
        """Boot and ask until nothing is left or the guest is no more; raise what ended it."""
        subject = self.subject
        self._tell(Phase.BOOT)
        deadline = Deadline(BOOT_SECONDS, subject.cancellation)
        with (
            subject.provider.boot(subject.guest, deadline) as transport,
            subject.cancellation.hooked(transport.close),
        ):
            self._factor = float(transport.provenance.get("slow_factor", "1"))
            self._common = {"loopback": transport.provenance.get("loopback", "as-is")}
            self._tell(Phase.PUSH)
            with subject.builder.installed(subject.guest, transport) as agent:
                agent.vouch()
                self._learn(agent, transport)
                self._ask_everything(agent)
            self._tell(Phase.DESTROY)

    def give_up(self, failure: InfrastructureError) -> None:
        """Put down for every cell that is left what keeps failing."""
        for asking in self.left:
            once_and_for_all = Asking(asking.cell, ATTEMPTS)
            self._put_down(once_and_for_all, _failed(self._line(0, asking, {}), failure), b"")
        self.left = []

    def _tell(self, phase: Phase, detail: str = "") -> None:
        self.subject.progress.phase(self.subject.guest.name, phase, detail)

    def _learn(self, agent: Agent, transport: Transport) -> None:
        """Ask the guest about itself, and keep that with how it was made."""
        guest = self.subject.guest
        tunables = {"tunables": ",".join(guest.tunables)} if guest.tunables else {}
        question = Question("facts", "facts", {**self._common, **tunables})
        try:
            raw = agent.ask([question], timeout=FACTS_SECONDS * self._factor)
        except InfrastructureError as exc:
            exc.phase = Phase.FACTS
            raise
        replies = parse(raw)
        observation = replies[0].observation if replies else None
        if observation is None:
            raise AgentError(Phase.FACTS, "the agent does not say what it runs on")
        provenance = {**transport.provenance, **agent.provenance}
        self.subject.record.met(GuestMet(guest.name, _now(), provenance, observation.facts))

    def _ask_everything(self, agent: Agent) -> None:
        todo, again = self.left, []
        for scenario, batch in _batches(todo, self.subject.depth):
            if self.subject.cancellation.said:
                return
            self._tell(Phase.SCENARIO, scenario.id)
            unasked = todo[todo.index(batch[-1]) + 1 :]
            failure, retry = self._ask(agent, scenario, batch)
            again += retry
            # What killed a guest once may do so again: it is asked last.
            self.left = sorted([*again, *unasked], key=lambda asking: asking.attempt)
            if failure is not None:
                raise failure

    def _ask(
        self, agent: Agent, scenario: Scenario, batch: Sequence[Asking]
    ) -> tuple[InfrastructureError | None, list[Asking]]:
        """Ask a scenario's cells in one batch; return what ended the guest, and what to ask again.

        A guest that is lost costs the first cell without a whole answer: the others were not asked.
        """
        alarm = math.ceil(scenario.alarm * self._factor)
        common = {**self._common, "alarm": str(alarm)}
        lines = [self._line(i, asking, common) for i, asking in enumerate(batch)]
        questions = [Question(line.id, line.scenario, line.parameters) for line in lines]
        # A slow guest has fewer at once: what mostly waits there works for longer, too.
        jobs = scenario.parallel if self._factor == 1 else math.ceil(scenario.parallel / 2)
        rounds = math.ceil(len(batch) / jobs)
        margin = MARGIN_SECONDS * self._factor
        timeout = (min(rounds, ALARMED) + rounds * USUAL) * alarm + margin
        raw, failure = _answers(agent, questions, jobs, timeout=timeout, silence=alarm + margin)
        replies = {reply.id: reply for reply in parse(raw)}
        left_out = AgentError(Phase.SCENARIO, "the agent left this question out")
        blame: InfrastructureError | None = failure or left_out
        again: list[Asking] = []
        for asking, line in zip(batch, lines, strict=True):
            reply = replies.get(line.id)
            raw = reply.raw if reply is not None else b""
            if reply is not None and (reply.status is not None or failure is None):
                again += self._put_down(asking, _took(line, reply), raw)
            elif self.subject.cancellation.said or blame is None:
                again.append(asking)
            else:
                again += self._put_down(asking, _failed(line, blame), raw)
                blame = None if failure else left_out
        return failure, again

    def _line(self, index: int, asking: Asking, common: Mapping[str, str]) -> Asked:
        """Return the journal's line of a question that is about to be asked."""
        scenario = CATALOGUE[asking.cell.scenario]
        return Asked(
            guest=self.subject.guest.name,
            cell=asking.cell,
            attempt=asking.attempt,
            question=f"q{index}",
            parameters={**scenario.parameters(asking.cell, self.subject.depth), **common},
            started=_now(),
            seconds=0.0,
            factor=self._factor,
        )

    def _put_down(self, asking: Asking, line: Asked, raw: bytes) -> list[Asking]:
        """Keep an answer, or its absence, and only then judge it; return what to ask once more."""
        line = self.subject.record.answered(line, raw)
        self.answers += bool(raw)
        judgement = judged(line, raw)
        if judgement.state is State.INFRASTRUCTURE and asking.attempt < ATTEMPTS:
            return [Asking(asking.cell, asking.attempt + 1)]
        self._done += 1
        trial = Trial(line.guest, asking.cell, (judgement,), line.started, line.seconds)
        self.subject.progress.trial(trial, self._done, self._total)
        return []


def _answers(
    agent: Agent, questions: Sequence[Question], jobs: int, *, timeout: float, silence: float
) -> tuple[bytes, InfrastructureError | None]:
    """Return what the agent said, and what kept it from saying all."""
    try:
        return agent.ask(questions, timeout, jobs, silence=silence), None
    except InfrastructureError as exc:
        return exc.partial, exc


def _failed(line: Asked, failure: InfrastructureError) -> Asked:
    return replace(line, failure=Failure(failure.phase, str(failure)))


def _took(line: Asked, reply: Reply) -> Asked:
    """Add what the reply says of itself: the guest's own time, and how its process ended."""
    took = reply.observation.took if reply.observation is not None else 0
    return replace(line, status=reply.status, seconds=took / 1000)


def _batches(todo: Sequence[Asking], depth: Depth) -> Iterator[tuple[Scenario, Sequence[Asking]]]:
    """Yield neighbours of one scenario: as many as one command asks.

    A tunable is the whole guest's, so all questions of a batch have the same one at one value.
    """
    neighbours = itertools.groupby(todo, lambda one: (one.cell.scenario, one.cell.setting))
    for (name, _), group in neighbours:
        scenario, batch, flows = CATALOGUE[name], list[Asking](), 0
        size = max(BATCH, ROUNDS * scenario.parallel)
        for asking in group:
            more = int(scenario.parameters(asking.cell, depth)["flows"])
            if batch and (len(batch) == size or flows + more > BATCH_FLOWS):
                yield scenario, tuple(batch)
                batch, flows = [], 0
            batch.append(asking)
            flows += more
        yield scenario, tuple(batch)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
