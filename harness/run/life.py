"""One life of a guest: from its boot to the last question, or until it is lost."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from harness import clocks
from harness.agent import Agent, Question
from harness.clocks import Clocks
from harness.deadline import Deadline
from harness.errors import AgentError, InfrastructureError, Phase
from harness.matrix.systems import system_of
from harness.model import Judgement
from harness.protocols import Transport
from harness.run.batches import Batch, Pace, Pending, batches
from harness.run.guest_job import GuestJob
from harness.run.ledger import Ledger
from harness.run.servers import bring
from harness.scenarios import SCRIPTS
from harness.store import Asked, GuestMet
from harness.wire.observation import Observation
from harness.wire.replies import outline, parse


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
        self._ledger = Ledger(subject, total - len(todo), total, found)
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
        self.subject.progress.phase(self.subject.guest.label, phase, detail)

    def _learn(self, agent: Agent, transport: Transport) -> GuestMet:
        """Ask the guest for its facts, and record them with its provenance."""
        subject, guest = self.subject, self.subject.guest
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
        where = {"machine": subject.machine} if subject.machine else {}
        provenance = {**transport.provenance, **agent.provenance, **where}
        met = GuestMet(guest.name, _now(), provenance, observation.facts, subject.machine)
        if subject.kin is not None:
            subject.kin.check(met)
        subject.record.met(met)
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
            machine=self.subject.machine,
        )


def _first(text: bytes) -> Observation | None:
    """Return the observation in the first answer; None if the answer is not whole."""
    said = outline(text, SCRIPTS)[:1]
    return parse(said[0].raw, SCRIPTS)[0].observation if said and said[0].torn is None else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
