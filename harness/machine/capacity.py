"""How many guests this machine can run at once, and which of them may measure now.

A guest that is measured has its CPUs to itself. If guests had to share a CPU, a kernel would look
as if it lost connections that it only had no time to answer.
"""

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from harness.deadline import GLANCE, Cancellation
from harness.model.guest import Section

SPARE = 0.8
"""The part of the free memory that guests may take."""

SERVERS = 768
"""MiB of a guest that servers are put into, at least: some have 60 MiB for each worker."""

OVERHEAD = 64 << 20
"""Bytes that a hypervisor and the harness need for each guest, besides the guest's memory."""

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def cores() -> int:
    """Return how many CPUs this process may use, which in a container may be fewer."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def memory() -> int:
    """Return how many bytes of memory are free, at most those of the container (cgroup v2)."""
    free = psutil.virtual_memory().available
    try:
        limit = int(CGROUP_LIMIT.read_text("ascii"))
        used = int(CGROUP_LIMIT.with_name("memory.current").read_text("ascii"))
    except (OSError, ValueError):  # no cgroup, or "max": no limit
        return free
    return max(0, min(free, limit - used))


def memory_of(section: Section, *, servers: bool = False) -> int:
    """Return how many bytes of this machine's memory a guest takes; 0 if it runs elsewhere.

    With `servers`, the run asks about servers, and each guest has room for them.
    """
    least = SERVERS if servers else 0
    return (max(section.memory, least) << 20) + OVERHEAD if section.memory else 0


def jobs(needs: Sequence[int], free: int, at_once: int, *, accelerated: bool) -> int:
    """Return how many guests to run at once; `needs` and `free` are bytes of memory.

    One per core, and one more if the hardware virtualises: it boots while the others are measured.
    The guests with the largest needs may run at the same time, so these must fit.
    """
    most = at_once + accelerated
    total, count = 0, 0
    for need in sorted(needs, reverse=True)[:most]:
        total += need
        if total > SPARE * free:
            break
        count += 1
    return max(1, count)


class Turns:
    """Gives CPUs to the guests that measure, in the order in which they ask."""

    def __init__(self, count: int) -> None:
        self._count = self._free = count
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    def free(self, cpus: int) -> bool:
        """Return whether this many CPUs are free and no guest waits."""
        with self._changed:
            return not self._queue and self._free >= min(cpus, self._count)

    @contextmanager
    def taken(self, cpus: int, cancellation: Cancellation) -> Iterator[None]:
        """Wait for `cpus` CPUs, at most all, and hold them during the block.

        A cancellation ends the wait at once.
        """
        wanted, ticket = min(cpus, self._count), object()
        with self._changed:
            # First come, first served: otherwise small guests could starve one with many CPUs.
            self._queue.append(ticket)
            while not cancellation.said and (self._queue[0] is not ticket or self._free < wanted):
                self._changed.wait(GLANCE)
            self._queue.remove(ticket)
            self._free -= wanted
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()
