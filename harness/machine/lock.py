"""A lock between processes. Waiting for it ends at a deadline, or at once when cancelled."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from harness.deadline import GLANCE, Deadline


@contextmanager
def locked(
    path: Path, deadline: Deadline, waits: Callable[[], object] | None = None
) -> Iterator[bool]:
    """Hold the lock of this file during the block; yield whether it was obtained in time.

    The system frees the lock when its holder dies (flock(2)). `waits` is called once if another
    process holds the lock at first.
    """
    lock = FileLock(path)
    ours = False
    # In short steps, because filelock's own timeout does not notice a cancellation.
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
