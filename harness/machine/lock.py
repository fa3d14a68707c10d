"""A lock between processes, waited for until a deadline, which a cancellation passes at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from harness.deadline import Deadline

GLANCE = 0.2
"""Seconds between two looks at the deadline: filelock's own timeout hears no cancellation."""


@contextmanager
def locked(path: Path, deadline: Deadline) -> Iterator[bool]:
    """Hold the lock of this file, if it is to be had in time: whether it is ours.

    The system frees it when its holder dies (flock(2)).
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
    try:
        yield ours
    finally:
        if ours:
            lock.release()
