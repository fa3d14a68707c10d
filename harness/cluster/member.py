"""A worker as one of the machines of a run."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

from msgspec.structs import replace

from harness.cluster import task
from harness.cluster.console import added_to
from harness.cluster.crew import Call, Crew, Worker
from harness.cluster.line import Line, lost
from harness.cluster.messages import Ended, Offered, Order, Room
from harness.cluster.remote import Dial, RemoteProvider
from harness.deadline import Deadline
from harness.errors import NotRunError
from harness.machine import capacity
from harness.machine.capacity import Turns
from harness.model import Guest
from harness.providers import Offer
from harness.providers.workshop import Workshop

SURVEY_SECONDS = 60.0
"""How long a worker may take to say what it can start; it may test accelerators first."""


class Member:
    """A machine of a cluster. What it can start is asked of it, and remembered."""

    def __init__(self, crew: Crew, worker: Worker, workshop: Workshop, only: str | None) -> None:
        assert worker.identity is not None
        self.name = worker.name
        self.target = worker.identity.target
        self.accelerated = worker.identity.accelerated
        self.turns = Turns(worker.threads)
        self._crew = crew
        self._worker = worker
        self._workshop = workshop
        self._order = Order("", (), workshop.packages, only, workshop.cold)
        self._memory = 0
        self._offered: dict[str, Offered] = {}

    def ask(self, guests: Iterable[Guest]) -> None:
        """Ask how it would start these guests; raise `MachineLostError`."""
        order = replace(self._order, guests=tuple(guests))
        with self._crew.dial(self._worker, Call(task.survey, "survey"), order) as line:
            deadline = Deadline(SURVEY_SECONDS)
            while not isinstance(answer := line.answer(deadline), Ended):
                if isinstance(answer, Offered):
                    self._offered[answer.guest] = answer
                elif isinstance(answer, Room):
                    self._memory = answer.memory
                elif answer is None:
                    raise lost(self.name, f"it says nothing of its guests for {SURVEY_SECONDS:g} s")
                else:
                    raise line.wrong(answer)

    def best(self, guest: Guest) -> Offer:
        """Return how it would start a guest; raise `NotRunError` if it cannot."""
        name = guest.name.partition("@")[0]  # a row of one machine is the guest of its file
        if name not in self._offered:
            self.ask([guest])
        said = self._offered.get(name)
        if said is None or said.provider not in guest.sections:
            why = said.why if said is not None and said.why else "it does not say how"
            hint = said.hint if said is not None else None
            raise NotRunError(f"{self.name}: {why}", hint=hint)
        provider = RemoteProvider(self.name, self._dialled(guest, said), self._order)
        return Offer(said.provider, provider, None, said.download)

    def startable(self, guest: Guest) -> bool:
        """Return whether it can start the guest without a download."""
        try:
            return self.best(guest).download is None
        except NotRunError:
            return False

    def slots(self, guests: Sequence[Guest], *, servers: bool) -> int:
        """Return how many of these guests fit into its memory and onto its CPUs."""
        found = [guest.section(self.best(guest).name) for guest in guests]
        needs = [capacity.memory_of(one, servers=servers) for one in found]
        return capacity.jobs(needs, self._memory, self._worker.threads, accelerated=False)

    def _dialled(self, guest: Guest, said: Offered) -> Dial:
        cpus = guest.section(said.provider).cpus

        def dial(order: Order) -> AbstractContextManager[Line]:
            (asked,) = order.guests  # it may be a copy, with a console of its own
            log = added_to(self._workshop.consoles(asked.label))
            return self._crew.dial(self._worker, Call(task.hold, asked.label, cpus), order, log)

        return dial
