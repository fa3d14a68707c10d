"""Ends guests whose owner no longer runs or whose time is over (`gc`), and kept ones (`stop`)."""

import logging
import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from harness.leases.ending import end, may_run, process_of
from harness.leases.lease import DamagedLease, Lease, damaged, leases, unchanged
from harness.leases.parking import discard, ourselves, parked
from harness.machine.pid import Process, is_alive
from harness.machine.places import Places

logger = logging.getLogger(__name__)

WRITER = re.compile(r"\.([0-9]+)-([0-9]+\.[0-9]+)\.new$")
"""The end of the name of a lease that is being written: the `Process` that writes it."""


def gc(places: Places) -> tuple[Lease, ...]:
    """End every guest whose owner no longer runs or whose time is over.

    Kept guests stay, and parked guests stay until they expire. Return the leases of the guests that
    still ran, and of the parked ones that expired.
    """
    _sweep(places)
    for one in damaged(places):
        logger.warning("%s is not a valid lease and is left alone: %s", one.path, one.why)
    ended = [*discard(places, [lease for lease in parked(places) if lease.expired])]
    for lease, owned in _owned(places):
        if owned and lease.expired:
            logger.warning(
                "guest %s expired at %s: it is ended, although process %d still owns it",
                *(lease.guest, lease.expires, lease.owner.pid),
            )
        if lease.expired or not (owned or lease.kept):
            ended += [lease] if end(places, lease) else []
        elif not owned and not may_run(lease):
            # A kept guest that no longer runs: only its lease and folder are left to remove.
            end(places, lease)
    return tuple(ended)


def _owned(places: Places) -> Iterator[tuple[Lease, bool]]:
    """Yield all leases except parked ones, each with whether its owner still runs."""
    for lease in leases(places):
        owned = is_alive(lease.owner)
        # If the owner is gone, read the lease again: its last act may have been to park the guest.
        if lease.parked is None and (owned or unchanged(places, lease)):
            yield lease, owned


def _sweep(places: Places) -> None:
    """Remove leases that were being written when their owner was killed."""
    for path in (places.state / "leases").glob("*.new"):
        writer = WRITER.search(path.name)
        if writer and not is_alive(Process(int(writer[1]), float(writer[2]))):
            path.unlink(missing_ok=True)


def stop(places: Places, names: Sequence[str] = ()) -> tuple[Lease, ...]:
    """End kept and parked guests, and guests whose owner no longer runs: by name, or all.

    Return the leases of the guests that were ended.
    """

    def meant(lease: Lease) -> bool:
        return not names or lease.guest in names

    idle = discard(places, [lease for lease in parked(places) if meant(lease)])
    chosen = [
        lease for lease, owned in _owned(places) if (lease.kept or not owned) and meant(lease)
    ]
    return (*idle, *(lease for lease in chosen if end(places, lease)))


class Unended(Struct, frozen=True):
    """A guest that may still run, although it was to be ended, and what its user can do."""

    what: str
    hint: str


def unended(places: Places, names: Sequence[str] | None = None) -> tuple[Unended, ...]:
    """Return what a `stop` of these guests (none: of all) left, or with None what a `gc` left."""

    def meant(lease: Lease, owned: bool) -> bool:
        if names is None:
            return lease.expired or not (owned or lease.kept)
        return (lease.kept or not owned) and (not names or lease.guest in names)

    # Of a parked guest that could not be ended, this process has become the owner.
    us = ourselves()
    left = [one for one, owned in _owned(places) if meant(one, owned and one.owner != us)]
    return (*map(_left, left), *map(_lost, damaged(places)))


def _left(lease: Lease) -> Unended:
    hint = "the messages above say why; the next `gc` tries again"
    if lease.undo:
        commands = "; ".join(" ".join(undo.argv) for undo in lease.undo if undo.decisive)
        hint = f"{hint}. It ends by: {commands}"
    return Unended(f"guest {lease.guest} (lease {lease.id}) could not be ended", hint)


def _lost(one: DamagedLease) -> Unended:
    """Say which process is the guest of a damaged lease, if one bears the lease's name."""
    process = process_of(one.tag)
    what = f"{one.path}: not a valid lease ({one.why}), so its guest is unknown"
    if process is None:
        return Unended(what, "no QEMU of it runs here; delete the file")
    end_it = f"its QEMU is process {process.pid}: `kill {process.pid}` ends it"
    return Unended(what, f"{end_it}, then delete the file")


def kept(places: Places) -> tuple[Lease, ...]:
    """Return the leases of kept guests that may still run, the newest last."""
    found = [lease for lease in leases(places) if lease.kept and may_run(lease)]
    return tuple(sorted(found, key=lambda lease: lease.created))
