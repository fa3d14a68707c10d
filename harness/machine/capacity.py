"""What this machine can carry: how many guests at once, and whose turn it is to be measured.

A guest that measures has its CPUs to itself: on a machine that is shared out more often than it has
cores, a kernel looks as if it lost what it never had the time to answer.
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
"""Part of the memory that is free now which guests may take."""

OVERHEAD = 64 << 20
"""Bytes that a hypervisor takes besides its guest's memory, and we for each guest."""

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def cores() -> int:
    """Return how many CPUs this process may use: a container's share, where there is one."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def memory() -> int:
    """Return how many bytes of memory are free: the machine's, or less if a container may less."""
    free = psutil.virtual_memory().available
    try:
        limit = int(CGROUP_LIMIT.read_text())
        used = int(CGROUP_LIMIT.with_name("memory.current").read_text())
    except (OSError, ValueError):  # no such limit: "max"
        return free
    return max(0, min(free, limit - used))


def memory_of(section: Section) -> int:
    """Return how many bytes of this machine's memory a guest takes."""
    return (section.memory << 20) + OVERHEAD if section.memory else 0


def jobs(needs: Sequence[int], free: int, at_once: int, *, accelerated: bool) -> int:
    """Return how many guests to run at once; `needs` and `free` are bytes of memory.

    As many as there are cores, and one more where the hardware virtualises: it boots while the
    others are measured. The hungriest ones may meet, and have to fit.
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
    """CPUs to be measured on, given out in the order in which they were asked for."""

    def __init__(self, count: int) -> None:
        self._count = self._free = count
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    def free(self, cpus: int) -> bool:
        """Whether nobody would have to wait for so many."""
        with self._changed:
            return not self._queue and self._free >= min(cpus, self._count)

    @contextmanager
    def taken(self, cpus: int, cancellation: Cancellation) -> Iterator[None]:
        """Wait for so many CPUs, all at most, and keep them for the block; not when cancelled."""
        wanted, ticket = min(cpus, self._count), object()
        with self._changed:
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
