"""Holds a lease during a block; the guest ends with the block, unless it is kept or parked."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from harness.leases import parking
from harness.leases.ending import end
from harness.leases.lease import LIFE, Lease, Login, Undo, write
from harness.machine.pid import of_pid
from harness.machine.places import Places, private


class Tenancy:
    """A lease that this process owns. `folder` is for the guest's files; it ends with the lease."""

    def __init__(self, places: Places, lease: Lease) -> None:
        self._places = places
        self.lease = lease

    @property
    def folder(self) -> Path:
        """A folder for this guest only, not accessible to other users."""
        return Path(self.lease.folder)

    def runs(self, pid: int) -> None:
        """Record the guest's process. It must be a child that was not waited for yet."""
        process = of_pid(pid)
        if process is not None:
            self._change(replace(self.lease, process=process))

    def undone_by(self, *commands: Undo) -> None:
        """Record the commands that end a guest which another daemon runs; call it before that."""
        self._change(replace(self.lease, undo=commands))

    def keep(self, login: Login) -> None:
        """Let the guest outlive its owner until `stop`; it no longer expires."""
        self._change(replace(self.lease, kept=True, login=login, expires=None))

    def park(self, key: str, login: Login) -> None:
        """Give up the guest, which is powered off, to a later run that needs this `key`."""
        until = datetime.now(UTC) + parking.UNUSED
        self._change(replace(self.lease, parked=key, login=login, process=None, expires=until))
        parking.prune(self._places)

    def _change(self, lease: Lease) -> None:
        write(self._places, lease)
        self.lease = lease


@contextmanager
def hold(
    places: Places, guest: str, *, run: Path | None = None, life: timedelta | None = LIFE
) -> Iterator[Tenancy]:
    """Hold a new lease during the block; then end its guest, unless it is kept or parked."""
    token = secrets.token_hex(16)
    folder = places.state / "guests" / token
    now = datetime.now(UTC).replace(microsecond=0)
    lease = Lease(
        token,
        guest,
        parking.ourselves(),
        str(folder),
        now.isoformat(),
        run=None if run is None else str(run.absolute()),
        expires=None if life is None else now + life,
    )
    # Entered before the lease is written, so that an interruption cannot leave a lease behind.
    with _until_the_end(places, lease) as tenancy:
        write(places, lease)
        private(folder)
        yield tenancy


@contextmanager
def taken(places: Places, key: str, *, run: Path | None = None) -> Iterator[Tenancy | None]:
    """Hold the lease of a guest parked under this key; yield None if there is none."""
    lease = parking.take(places, key, run)
    if lease is None:
        yield None
        return
    with _until_the_end(places, lease) as tenancy:
        yield tenancy


@contextmanager
def _until_the_end(places: Places, lease: Lease) -> Iterator[Tenancy]:
    tenancy = Tenancy(places, lease)
    try:
        yield tenancy
    finally:
        if not tenancy.lease.kept and tenancy.lease.parked is None:
            _end_surely(places, tenancy.lease)


def _end_surely(places: Places, lease: Lease) -> None:
    """End a guest, even if a signal raises `KeyboardInterrupt` meanwhile (`run.interruption`)."""
    try:
        end(places, lease)
    except KeyboardInterrupt:
        end(places, lease)
        raise
