"""Ends the guests that no living run owns, or that outlive their time, and those that were kept."""

import logging
import re
from collections.abc import Iterator, Sequence

from harness.leases.ending import end, may_run
from harness.leases.lease import Lease, leases, unchanged
from harness.leases.parking import discard, parked
from harness.machine.pid import Process, is_alive
from harness.machine.places import Places

logger = logging.getLogger(__name__)

WRITER = re.compile(r"\.([0-9]+)-([0-9]+\.[0-9]+)\.new$")
"""In the name of a lease that is being written: who writes it, as of `Process`."""


def gc(places: Places) -> tuple[Lease, ...]:
    """End every guest whose owner is gone or whose time is over, but for kept and parked ones.

    Return those that still ran, and those that nobody took for too long.
    """
    _sweep(places)
    ended = [*discard(places, [lease for lease in parked(places) if lease.expired])]
    for lease, owned in _owned(places):
        if owned and lease.expired:
            logger.warning(
                "guest %s was to be over by %s: it is ended, though process %d owns it",
                *(lease.guest, lease.expires, lease.owner.pid),
            )
        if lease.expired or not (owned or lease.kept):
            ended += [lease] if end(places, lease) else []
        elif not owned and not may_run(lease):
            end(places, lease)
    return tuple(ended)


def _owned(places: Places) -> Iterator[tuple[Lease, bool]]:
    """Yield the leases but for parked ones, and whether the owner lives."""
    for lease in leases(places):
        owned = is_alive(lease.owner)
        # Looked at again once the owner is gone: it may have parked the guest at last.
        if lease.parked is None and (owned or unchanged(places, lease)):
            yield lease, owned


def _sweep(places: Places) -> None:
    """Remove leases that their owner had half written when it was killed."""
    for path in (places.state / "leases").glob("*.new"):
        writer = WRITER.search(path.name)
        if writer and not is_alive(Process(int(writer[1]), float(writer[2]))):
            path.unlink(missing_ok=True)


def stop(places: Places, names: Sequence[str] = ()) -> tuple[Lease, ...]:
    """End kept and parked guests, and those without an owner: the named ones, or all.

    Return which.
    """

    def meant(lease: Lease) -> bool:
        return not names or lease.guest in names

    idle = discard(places, [lease for lease in parked(places) if meant(lease)])
    chosen = [
        lease for lease, owned in _owned(places) if (lease.kept or not owned) and meant(lease)
    ]
    return (*idle, *(lease for lease in chosen if end(places, lease)))


def kept(places: Places) -> tuple[Lease, ...]:
    """Return the kept guests that still run, the latest last."""
    found = [lease for lease in leases(places) if lease.kept and may_run(lease)]
    return tuple(sorted(found, key=lambda lease: lease.created))
