"""Measures many guests at the same time: one thread per guest, one cancellation for all."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from msgspec import Struct

from harness.agent import Builder
from harness.deadline import Cancellation
from harness.machine.places import Places
from harness.run.engine import GuestJob, measure
from harness.run.interruption import Interruption
from harness.run.machines import Machine, fitted
from harness.run.plan import Candidate, Plan
from harness.run.progress import Face
from harness.store import Store

logger = logging.getLogger(__name__)

GLANCE = 0.1
"""Seconds between two checks for a signal; the handlers only note that it came."""


class Fleet(Struct, frozen=True):
    """The guests of a run, and what they share."""

    plan: Plan
    store: Store
    places: Places
    face: Face
    cancellation: Cancellation

    def measure(self, jobs: int, interruption: Interruption, until: float | None) -> None:
        """Measure every guest, `jobs` at once; end early on a signal, or at `until` (monotonic).

        An error of the run itself, such as a full disk, is raised after every guest has ended.
        """
        builder = Builder(self.places, cancellation=self.cancellation)
        with ThreadPoolExecutor(jobs, thread_name_prefix="guest") as pool:
            pending = {
                pool.submit(self._one, candidate, builder) for candidate in self.plan.candidates
            }
            # One guest's exception is a bug or a full disk: cancel the others, but let each thread
            # end its guest before `result` raises.
            for done in self._finished(pending, interruption, until):
                if done.exception() is not None:
                    self.cancellation.say()
            for future in pending:
                future.result()

    def _finished(
        self, futures: set[Future[None]], interruption: Interruption, until: float | None
    ) -> Iterator[Future[None]]:
        left = set(futures)
        while left:
            done, left = wait(left, GLANCE)
            yield from done
            if self.cancellation.said:
                continue
            if interruption.signal is not None:
                logger.warning("%s: ending the guests", interruption.signal.name)
                self.cancellation.say()
            elif until is not None and time.monotonic() > until:
                logger.warning("the time given with --timeout is over: ending the guests")
                self.cancellation.say()

    def _one(self, candidate: Candidate, builder: Builder) -> None:
        guest, face = candidate.guest, self.face
        record = self.store.guest(guest.name)
        if not candidate.starts:
            record.not_run(candidate.why, candidate.hint)
            face.ended(guest.name, "not run")
            return
        if not candidate.cells:
            face.ended(guest.name, "no cell is missing")
            return
        start = candidate.starts[0]
        if not self.cancellation.said:
            depth = self.plan.begun.catalogue
            measure(
                GuestJob(
                    guest=fitted(guest, start.machine),
                    depth=depth,
                    provider=start.offer.provider,
                    builder=builder,
                    record=record,
                    progress=face,
                    cancellation=self.cancellation,
                    turns=start.machine.turns,
                    cpus=guest.section(start.offer.name).cpus,
                    servers=self.plan.servers,
                ),
                candidate.cells,
            )
        face.ended(guest.name, "interrupted" if self.cancellation.said else "done")


def jobs_for(asked: int | None, plan: Plan, machine: Machine) -> int:
    """Return how many guests run on a machine at once: the user's number, or as many as fit."""
    if asked is not None:
        return asked
    able = [
        one.guest
        for one in plan.candidates
        if any(start.machine is machine for start in one.starts)
    ]
    return machine.slots(able, servers=bool(plan.servers))
