"""What a provider works with: where things are kept, where consoles go, whether guests stay."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from msgspec import Struct

from harness import leases
from harness.leases import Login, Tenancy
from harness.machine.places import Places
from harness.model import Guest


class Workshop(Struct, frozen=True):
    """One run's working conditions, the same for all its guests.

    `consoles` gives the file for a guest's console log. With `keep`, a guest outlives its context,
    with a lease that says how to log in again. `cold`: it is booted, whatever is kept of it. `run`
    is the run's folder, if it has one.
    """

    places: Places
    consoles: Callable[[str], Path]
    keep: bool = False
    cold: bool = False
    run: Path | None = None

    def lease(self, guest: Guest) -> AbstractContextManager[Tenancy]:
        """Hold a lease for a guest of this run."""
        return leases.hold(self.places, guest.name, run=self.run)

    def taken(self, key: str) -> AbstractContextManager[Tenancy | None]:
        """Hold the lease of a guest that an earlier run parked; None if there is none."""
        return leases.taken(self.places, key, run=self.run)

    def keep_guest(self, tenancy: Tenancy, login: Login) -> None:
        """Keep a guest, in place of those of its name that this run kept before."""
        new = tenancy.lease
        for lease in leases.kept(self.places):
            if lease.guest == new.guest and lease.owner == new.owner:
                leases.end(self.places, lease)
        tenancy.keep(login)
