"""Measures many guests at the same time: one thread per guest, one cancellation for all."""

import logging
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack

from msgspec import Struct

from harness.agent import Builder
from harness.deadline import Cancellation
from harness.errors import ElsewhereError
from harness.machine.places import Places
from harness.run.docket import Docket, Sent, Stranded
from harness.run.engine import measure
from harness.run.errands import Errand, expected
from harness.run.guest_job import GuestJob
from harness.run.interruption import Interruption
from harness.run.machines import Machine, fitted
from harness.run.plan import Plan
from harness.run.progress import Face
from harness.store import Store

logger = logging.getLogger(__name__)

GLANCE = 0.1
"""Seconds between two checks for a signal; the handlers only note that it came."""

RESUME = "--resume measures the missing cells"


class Fleet(Struct, frozen=True):
    """The guests of a run, and what they share."""

    plan: Plan
    errands: tuple[Errand, ...]
    store: Store
    places: Places
    face: Face
    cancellation: Cancellation

    def measure(
        self, jobs: int | None, interruption: Interruption, until: float | None
    ) -> Mapping[str, str]:
        """Measure every guest; end early on a signal, or at `until` (monotonic).

        On each machine `jobs` guests run at once, by default as many as fit. Return the guests that
        no machine is left for, with the reason. An error of the run itself, such as a full disk, is
        raised after every guest has ended.
        """
        self._say_what_is_not_asked()
        slots = {one.name: _slots(self.plan, one, jobs) for one in self.plan.machines}
        docket = Docket(self.errands, slots, expected(self.plan))
        builder = Builder(self.places, cancellation=self.cancellation)
        given_up: dict[str, str] = {}
        under_way: dict[Future[None], Sent] = {}
        ended = list[Future[None]]()
        with (
            ThreadPoolExecutor(sum(slots.values()), thread_name_prefix="guest") as pool,
            ExitStack() as failed,
        ):
            failed.callback(self.cancellation.say)  # else the pool waits until all is measured
            while True:
                if not self.cancellation.said:
                    given_up |= self._give_up(docket.stranded())
                    due = docket.due(time.monotonic())
                    under_way |= {pool.submit(self._one, sent, builder): sent for sent in due}
                if not under_way:
                    break
                done, _ = wait(under_way, GLANCE, FIRST_COMPLETED)
                for future in done:
                    given_up |= self._ended(future, under_way.pop(future), docket)
                ended += done
                self._watch(interruption, until)
            failed.pop_all()
        for errand in docket.waiting:
            self.face.ended(errand.label, "interrupted")
        _raise_first(ended)
        return given_up

    def _ended(self, future: Future[None], sent: Sent, docket: Docket) -> Mapping[str, str]:
        """Send a guest elsewhere whose machine was lost; after any other error end the run."""
        failure = future.exception()
        if not isinstance(failure, ElsewhereError):
            # A guest's exception is a bug or a full disk: cancel the others, but let each thread
            # end its guest before `result` raises.
            docket.done(sent)
            if failure is not None:
                self.cancellation.say()
            return {}
        stranded = docket.back(sent, failure)
        if stranded is not None:
            return self._give_up([stranded])
        label, machine = sent.errand.label, sent.start.machine.name
        logger.warning("%s: %s: %s; another machine measures it", label, machine, failure)
        return {}

    def _watch(self, interruption: Interruption, until: float | None) -> None:
        """Cancel the run after a signal, or when its time is over."""
        if self.cancellation.said:
            return
        if interruption.signal is not None:
            logger.warning("%s: ending the guests", interruption.signal.name)
            self.cancellation.say()
        elif until is not None and time.monotonic() > until:
            logger.warning("the time given with --timeout is over: ending the guests")
            self.cancellation.say()

    def _say_what_is_not_asked(self) -> None:
        """Record the guests that no machine can start, and show those that have no open cell."""
        for candidate in self.plan.candidates:
            name = candidate.guest.name
            if not candidate.starts:
                self.store.guest(name).not_run(candidate.why, candidate.hint)
                self.face.ended(name, "not run")
            elif not candidate.cells:
                self.face.ended(name, "no cell is missing")

    def _give_up(self, stranded: list[Stranded]) -> Mapping[str, str]:
        """Record the guests that no machine is left for, and return why."""
        for one in stranded:
            name = one.errand.guest.name
            self.store.guest(name).not_run(one.why, RESUME)
            logger.warning("%s: %s", one.errand.label, one.why)
            self.face.ended(one.errand.label, "not run")
        return {one.errand.guest.name: one.why for one in stranded}

    def _one(self, sent: Sent, builder: Builder) -> None:
        """Measure a guest on its machine; raise `ElsewhereError` if that must go on elsewhere."""
        errand, machine = sent.errand, sent.start.machine
        job = GuestJob(
            guest=fitted(errand.guest, machine),
            depth=self.plan.begun.catalogue,
            provider=sent.start.offer.provider,
            builder=builder,
            record=self.store.guest(errand.guest.name),
            progress=self.face,
            cancellation=self.cancellation,
            turns=machine.turns,
            cpus=errand.guest.section(sent.start.offer.name).cpus,
            servers=self.plan.servers,
            machine=machine.name,
            kin=errand.kin,
        )
        if not self.cancellation.said:
            measure(job, errand.cells_on(machine.name))
        self.face.ended(errand.label, "interrupted" if self.cancellation.said else "done")


def _raise_first(ended: list[Future[None]]) -> None:
    """Raise the first error that is one of the run itself."""
    for future in ended:
        if not isinstance(future.exception(), ElsewhereError):
            future.result()


def _slots(plan: Plan, machine: Machine, jobs: int | None) -> int:
    """Return how many guests of the plan a machine has at once.

    This machine alone obeys its user. A cluster's has no more than fit: others are idle meanwhile.
    """
    if jobs is not None and len(plan.machines) == 1:
        return jobs
    able = [
        one.guest
        for one in plan.candidates
        if any(start.machine is machine for start in one.starts)
    ]
    fit = machine.slots(able, servers=bool(plan.servers))
    return fit if jobs is None else min(jobs, fit)
