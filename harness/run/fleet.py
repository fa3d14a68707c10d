"""Measures many guests at the same time: one thread per guest, one cancellation for all."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from msgspec import Struct

from harness.agent import Builder
from harness.deadline import Cancellation
from harness.machine import capacity
from harness.machine.capacity import Turns
from harness.machine.places import Places
from harness.providers import virtualises
from harness.run.engine import GuestJob, measure
from harness.run.interruption import Interruption
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
    turns: Turns

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
        if candidate.provider is None:
            record.not_run(candidate.why, candidate.hint)
            face.ended(guest.name, "not run")
            return
        if not candidate.cells:
            face.ended(guest.name, "no cell is missing")
            return
        if not self.cancellation.said:
            depth = self.plan.begun.catalogue
            measure(
                GuestJob(
                    guest=guest,
                    depth=depth,
                    provider=candidate.provider,
                    builder=builder,
                    record=record,
                    progress=face,
                    cancellation=self.cancellation,
                    turns=self.turns,
                    cpus=guest.section(candidate.by).cpus,
                    servers=self.plan.servers,
                ),
                candidate.cells,
            )
        face.ended(guest.name, "interrupted" if self.cancellation.said else "done")


def jobs_for(asked: int | None, plan: Plan, places: Places) -> int:
    """Return how many guests run at once: the user's number, or as many as fit on this machine."""
    if asked is not None:
        return asked
    found = [one.guest.section(one.by) for one in plan.candidates if one.provider is not None]
    needs = [capacity.memory_of(one, servers=bool(plan.servers)) for one in found]
    accelerated = any(section.made for section in found) and virtualises(places)
    return capacity.jobs(needs, capacity.memory(), capacity.cores(), accelerated=accelerated)
