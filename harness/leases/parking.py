"""Parked guests: powered off cleanly, so that a later run can take one and own it.

A parked guest has no owner, so two processes may want to take or end it at the same time. So its
lease is changed only under a lock, after a check that it is still parked.
"""

import logging
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from harness.deadline import Deadline
from harness.leases.ending import end
from harness.leases.lease import LIFE, Lease, leases, write
from harness.machine.lock import locked
from harness.machine.pid import Process, of_pid
from harness.machine.places import Places, private

logger = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds to wait for the lock. Its holder only writes a file, unless it was stopped. After that
time the caller goes on without a parked guest."""

UNUSED = timedelta(days=30)
"""A parked guest that is not used for this long is ended, as with cached files."""

LIMIT = 4
"""The most parked guests. Each one keeps its disk and saved memory; only the hypervisor can tell
their size."""


def ourselves() -> Process:
    """Return this process, to be the owner of a lease."""
    owner = of_pid(os.getpid())
    assert owner is not None
    return owner


def parked(places: Places) -> tuple[Lease, ...]:
    """Return the leases of parked guests, the most recently used first."""
    found = [(lease.expires, lease) for lease in leases(places) if lease.parked is not None]
    found.sort(key=lambda one: one[0] or datetime.max.replace(tzinfo=UTC), reverse=True)
    return tuple(lease for _, lease in found)


def take(places: Places, key: str, run: Path | None) -> Lease | None:
    """Take a guest parked under this key, so that this process owns it; None if there is none."""
    return _claimed(places, lambda lease: lease.parked == key and not lease.expired, run)


def discard(places: Places, chosen: Sequence[Lease]) -> tuple[Lease, ...]:
    """End parked guests unless a run took them meanwhile; return the leases of those ended."""
    return tuple(lease for lease in chosen if _discarded(places, lease))


def _discarded(places: Places, lease: Lease) -> bool:
    ours = _claimed(places, lambda one: one == lease)
    return ours is not None and end(places, ours)


def prune(places: Places) -> None:
    """End all but the newest guest of each key, and the oldest guests beyond the limit."""
    first: dict[str | None, Lease] = {}
    for lease in parked(places):
        first.setdefault(lease.parked, lease)
    stay = tuple(first.values())[:LIMIT]
    discard(places, [lease for lease in parked(places) if lease not in stay])


def _claimed(
    places: Places, fits: Callable[[Lease], bool], run: Path | None = None
) -> Lease | None:
    """Take the first parked guest that fits; None if there is none or the lock is not free."""
    path = private(places.state) / "parked.lock"
    with locked(path, Deadline(PATIENCE)) as ours:
        if not ours:
            logger.warning("parked guests are left alone: another process holds %s", path)
            return None
        found = next(filter(fits, parked(places)), None)
        return None if found is None else _owned(places, found, run)


def _owned(places: Places, lease: Lease, run: Path | None) -> Lease:
    ours = replace(
        lease,
        owner=ourselves(),
        parked=None,
        run=None if run is None else str(run.absolute()),
        expires=datetime.now(UTC) + LIFE,
    )
    write(places, ours)
    return ours
