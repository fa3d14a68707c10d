"""Guests that are powered off in good order, for later runs to take; whoever takes one owns it.

A parked guest is nobody's, so two may want it at once, or one to take and one to end it: who
changes it does so under a lock, and finds it parked there.
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
"""Seconds that are waited for who changes one: that is a file's writing, unless he was stopped. Who
waits in vain goes without."""

UNUSED = timedelta(days=30)
"""What nobody took for that long goes, as with the cache."""

LIMIT = 4
"""So many are parked at most: each holds its disk and memory, of which only its hypervisor knows
the size."""


def ourselves() -> Process:
    """Return this process, as an owner."""
    owner = of_pid(os.getpid())
    assert owner is not None
    return owner


def parked(places: Places) -> tuple[Lease, ...]:
    """Return the parked guests, the last used first."""
    found = [(lease.expires, lease) for lease in leases(places) if lease.parked is not None]
    found.sort(key=lambda one: one[0] or datetime.max.replace(tzinfo=UTC), reverse=True)
    return tuple(lease for _, lease in found)


def take(places: Places, key: str, run: Path | None) -> Lease | None:
    """Return a guest that was parked under this key, ours from here on; None if there is none."""
    return _claimed(places, lambda lease: lease.parked == key and not lease.expired, run)


def discard(places: Places, chosen: Sequence[Lease]) -> tuple[Lease, ...]:
    """End parked guests, but for those that somebody took meanwhile; return which."""
    return tuple(lease for lease in chosen if _discarded(places, lease))


def _discarded(places: Places, lease: Lease) -> bool:
    ours = _claimed(places, lambda one: one == lease)
    return ours is not None and end(places, ours)


def prune(places: Places) -> None:
    """End what is parked a second time under one key, and beyond the limit what is oldest."""
    first: dict[str | None, Lease] = {}
    for lease in parked(places):
        first.setdefault(lease.parked, lease)
    stay = tuple(first.values())[:LIMIT]
    discard(places, [lease for lease in parked(places) if lease not in stay])


def _claimed(
    places: Places, fits: Callable[[Lease], bool], run: Path | None = None
) -> Lease | None:
    """Make the first parked guest that fits ours."""
    path = private(places.state) / "parked.lock"
    with locked(path, Deadline(PATIENCE)) as ours:
        if not ours:
            logger.warning("parked guests are left alone: somebody holds %s", path)
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
