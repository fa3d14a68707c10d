"""Measures one guest: boots it, asks its cells, keeps every answer, boots it again if it died."""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct, field

from harness import clocks
from harness.agent import Agent, Builder, Question
from harness.clocks import Clocks
from harness.deadline import Cancellation, Deadline
from harness.errors import AgentError, InfrastructureError, NotRunError, Phase
from harness.machine.capacity import Turns
from harness.matrix.systems import system_of
from harness.model import Cell, Depth, Guest, Judgement
from harness.model.server import Server
from harness.protocols import Progress, Provider, Transport
from harness.run.batches import Batch, Pace, Pending, batches
from harness.run.doubt import doubtful
from harness.run.ledger import ATTEMPTS, Ledger
from harness.run.servers import bring
from harness.scenarios import SCRIPTS
from harness.store import Asked, GuestMet, GuestRecord
from harness.wire.observation import Observation
from harness.wire.replies import outline, parse, visible

logger = logging.getLogger(__name__)

LIVES_IN_VAIN = 2
"""A guest that gives no answer in this many lives in a row is given up."""


class GuestJob(Struct, frozen=True):
    """What one thread needs to measure one guest; `cpus`: how many of this machine it takes.

    `servers`: those that the cells are about, by name.
    """

    guest: Guest
    depth: Depth
    provider: Provider
    builder: Builder
    record: GuestRecord
    progress: Progress
    cancellation: Cancellation
    turns: Turns = field(default_factory=lambda: Turns(1))
    cpus: int = 1
    servers: Mapping[str, Server] = field(default_factory=dict)


def measure(subject: GuestJob, cells: Sequence[Cell]) -> None:
    """Ask every cell of the guest and write the results to the journal.

    A failure of the guest goes to the journal, too, and is not raised. A cancelled run ends early
    and keeps the answers it has. A guest that exceeds its total time is given up, so that it cannot
    keep the others waiting for ever.
    """
    todo: Sequence[Pending] = [Pending(cell) for cell in cells]
    limit = _limit(subject, todo)
    found: dict[Pending, Judgement] = {}
    _lives(subject, todo, limit, found)
    # Once more, on a fresh guest, what contradicts its neighbours or had too few flows. Both
    # answers are kept.
    doubted = _doubted(found)
    if doubted and not (subject.cancellation.said or limit.passed):
        logger.info("%s: %d cells are doubtful and asked again", subject.guest.name, len(doubted))
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
    logger.warning("%s: %s%s: %s", guest.name, failure.phase, after, failure)
    if failure.hint is not None:
        logger.warning("%s: hint: %s", guest.name, failure.hint)
    for line in failure.last_lines:
        logger.warning("%s: console: %s", guest.name, visible(line))


class Life:
    """One life of a guest: from boot to the last question, or until it is lost.

    `left` holds the questions that the next life must ask.
    """

    def __init__(
        self,
        subject: GuestJob,
        todo: Sequence[Pending],
        limit: Deadline,
        total: int,
        found: dict[Pending, Judgement],
    ) -> None:
        self.subject = subject
        self._limit = limit
        self.left = list(todo)
        self._ledger = Ledger(
            subject.record, subject.progress, subject.cancellation, total - len(todo), total, found
        )
        self._clocks = Clocks()
        self._since = time.monotonic()
        self._common: dict[str, str] = {}

    def run(self) -> None:
        """Boot the guest and ask all questions; raise the `InfrastructureError` that ended it."""
        try:
            self._live()
        except InfrastructureError as exc:
            self._timed(exc)
            raise

    def _live(self) -> None:
        subject = self.subject
        self._tell(Phase.BOOT)
        # The hook closes the connection when the run is cancelled: a command that hangs in the
        # guest then returns at once.
        deadline = self._limit.within(clocks.boot(subject.guest))
        with (
            subject.provider.boot(subject.guest, deadline) as transport,
            subject.cancellation.hooked(transport.close),
        ):
            self._clocks = Clocks(clocks.slow_factor(transport.provenance))
            self._common = {"loopback": transport.provenance.get("loopback", "as-is")}
            self._tell(Phase.PUSH)
            # Vouch comes first: an agent that answers anything to a random question is not the
            # right one, and its facts would be worthless.
            with subject.builder.installed(subject.guest, transport) as agent:
                agent.vouch()
                met = self._learn(agent, transport)
                system, _ = system_of(subject.guest.system, met.facts, met.provenance)
                bring(subject.servers.values(), agent, str(system))
                # Booting may overlap with other guests, measuring may not: a guest that has to
                # share its CPU looks as if its kernel lost connections.
                if not subject.turns.free(subject.cpus):
                    self._tell(Phase.SCENARIO, "waits for a CPU")
                with subject.turns.taken(subject.cpus, subject.cancellation):
                    self._ask_everything(agent)
            self._tell(Phase.DESTROY)

    @property
    def answers(self) -> int:
        """How many questions got an answer, whole or not."""
        return self._ledger.answers

    def give_up(self, failure: InfrastructureError) -> None:
        """Record this failure for every cell that is left."""
        for asking in self.left:
            self._ledger.give_up(asking, self._line(0, asking), failure)
        self.left = []

    def _timed(self, failure: InfrastructureError | None) -> None:
        """Set the seconds since the phase began in which something failed."""
        if failure is not None and failure.seconds is None:
            failure.seconds = time.monotonic() - self._since

    def _tell(self, phase: Phase, detail: str = "") -> None:
        self._since = time.monotonic()
        self.subject.progress.phase(self.subject.guest.name, phase, detail)

    def _learn(self, agent: Agent, transport: Transport) -> GuestMet:
        """Ask the guest for its facts, and record them with its provenance."""
        guest = self.subject.guest
        tunables = {"tunables": ",".join(guest.tunables)} if guest.tunables else {}
        question = Question("facts", "facts", {**self._common, **tunables})
        with self.subject.record.spool() as said:
            try:
                agent.ask([question], timeout=self._clocks.facts, into=said.append)
            except InfrastructureError as exc:
                exc.phase = Phase.FACTS  # it was raised with another phase
                raise
            observation = self.subject.record.reading(lambda: _first(said.content()))
        if observation is None:
            raise AgentError(Phase.FACTS, "the agent does not say what it runs on")
        provenance = {**transport.provenance, **agent.provenance}
        met = GuestMet(guest.name, _now(), provenance, observation.facts)
        self.subject.record.met(met)
        return met

    def _ask_everything(self, agent: Agent) -> None:
        todo, again = self.left, list[Pending]()
        # After a failure, one scenario at a time shows which one caused it, and it is less load for
        # a guest that was short of CPU.
        apart = any(asking.attempt > 1 for asking in todo)
        for batch in batches(todo, self.subject.depth, self._pace, apart=apart):
            if self.subject.cancellation.said:
                return
            self._tell(Phase.SCENARIO, batch.title)
            asked = set(batch.askings)
            todo = [asking for asking in todo if asking not in asked]
            failure, retry = self._ask(agent, batch)
            again += retry
            # A question that killed the guest may do so again, so it is asked last. `left` is
            # updated before the error is raised: the next life starts from it.
            self.left = sorted([*again, *todo], key=lambda asking: asking.attempt)
            if failure is not None:
                raise failure

    def _ask(self, agent: Agent, batch: Batch) -> tuple[InfrastructureError | None, list[Pending]]:
        """Ask a batch's cells; return the failure that ended the guest, and what to ask again."""
        lines = [self._line(i, asking) for i, asking in enumerate(batch.askings)]
        questions = [Question(line.id, line.scenario, line.parameters) for line in lines]
        timeout = self._clocks.batch(batch.scenarios, batch.rounds(self._pace))
        timeout = min(timeout, self._limit.left())
        silence = self._clocks.silence(batch.scenarios)
        failure: InfrastructureError | None = None
        with self.subject.record.spool() as said:
            try:
                agent.ask(questions, timeout, self._pace.jobs, into=said.append, silence=silence)
            except InfrastructureError as exc:
                # Not raised yet: the answers that came before it are settled first.
                failure = exc
            self._timed(failure)
            asked = tuple(zip(batch.askings, lines, strict=True))
            again = self.subject.record.reading(
                lambda: self._ledger.settle(asked, outline(said.content(), SCRIPTS), failure)
            )
        return failure, again

    @property
    def _pace(self) -> Pace:
        return Pace(slow=self._clocks.factor != 1)

    def _line(self, index: int, asking: Pending) -> Asked:
        """Return the journal's line for a question that is about to be asked."""
        scenario = asking.scenario
        limits = {
            "alarm": str(self._clocks.alarm(scenario)),
            "load": str(self._pace.load(scenario)),
        }
        return Asked(
            guest=self.subject.guest.name,
            cell=asking.cell,
            attempt=asking.attempt,
            question=f"q{index}",
            parameters={
                **scenario.parameters(asking.cell, self.subject.depth),
                **self._common,
                **limits,
            },
            started=_now(),
            seconds=0.0,
            factor=self._clocks.factor,
        )


def _first(text: bytes) -> Observation | None:
    """Return the observation in the first answer; None if the answer is not whole."""
    said = outline(text, SCRIPTS)[:1]
    return parse(said[0].raw, SCRIPTS)[0].observation if said and said[0].torn is None else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
