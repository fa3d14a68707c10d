"""Many guests at once: a thread for each, from its boot to its end, and one word that ends all."""

import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from msgspec import Struct

from harness.agent import Builder
from harness.cli.interruption import Interruption
from harness.cli.plan import Candidate, Plan
from harness.deadline import Cancellation
from harness.engine import Subject, measure
from harness.live import Face
from harness.places import Places
from harness.store import Store

logger = logging.getLogger(__name__)

GLANCE = 0.1
"""Seconds between two looks at whether a signal came: handlers only take a note."""


class Fleet(Struct, frozen=True):
    """The guests of a run, and what they share."""

    plan: Plan
    store: Store
    places: Places
    face: Face
    cancellation: Cancellation

    def measure(self, jobs: int, interruption: Interruption, until: float | None) -> None:
        """Measure every guest, `jobs` at once; end early on a signal, or at `until` (monotonic).

        An error that is the run's, such as a full disk, is raised once every guest is ended.
        """
        builder = Builder(self.places)
        with ThreadPoolExecutor(jobs, thread_name_prefix="guest") as pool:
            pending = {
                pool.submit(self._one, candidate, builder) for candidate in self.plan.candidates
            }
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
                logger.warning("the time of --timeout is over: ending the guests")
                self.cancellation.say()

    def _one(self, candidate: Candidate, builder: Builder) -> None:
        guest, face = candidate.guest, self.face
        record = self.store.guest(guest.name)
        if candidate.provider is None:
            record.not_run(candidate.why, candidate.hint)
            face.ended(guest.name, "not run")
            return
        if not candidate.cells:
            face.ended(guest.name, "nothing was missing")
            return
        if not self.cancellation.said:
            depth = self.plan.begun.catalogue
            measure(
                Subject(
                    guest=guest,
                    depth=depth,
                    provider=candidate.provider,
                    builder=builder,
                    record=record,
                    progress=face,
                    cancellation=self.cancellation,
                ),
                candidate.cells,
            )
        face.ended(guest.name, "interrupted" if self.cancellation.said else "done")


def jobs_for(asked: int | None, guests: int) -> int:
    """Return how many guests run at once: what was asked for, or as many as there are cores."""
    if asked is not None:
        return asked
    return max(1, min(guests, _cores()))


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # a container's share, where there is one
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
