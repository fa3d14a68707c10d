"""A lock between processes, waited for until a deadline, which a cancellation passes at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from harness.deadline import GLANCE, Deadline


@contextmanager
def locked(
    path: Path, deadline: Deadline, waits: Callable[[], object] | None = None
) -> Iterator[bool]:
    """Hold the lock of this file, if it is to be had in time: whether it is ours.

    The system frees it when its holder dies (flock(2)). `waits` is called once if somebody else
    holds it at first. filelock's own timeout hears no cancellation, hence the glances.
    """
    lock = FileLock(path)
    ours = False
    while not ours:
        try:
            lock.acquire(timeout=min(GLANCE, deadline.left()), poll_interval=0.05)
            ours = True
        except Timeout:
            if deadline.passed:
                break
            if waits is not None:
                waits()
                waits = None
    try:
        yield ours
    finally:
        if ours:
            lock.release()
