"""The settings that a provider works with: folders, console logs, and whether guests are kept."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from msgspec import Struct

from harness import leases
from harness.leases import Login, Tenancy
from harness.machine.places import Places
from harness.model import Guest


class Workshop(Struct, frozen=True):
    """One run's settings, the same for all its guests.

    `consoles` returns the path of a guest's console log, by its label. With `keep`, a guest stays
    up after its context, and its lease records how to log in again. With `cold`, guests are booted
    even if a saved state exists. `run` is the run's folder, if it has one. `packages` are Debian
    packages with servers, which guests get without having them installed, where the provider can do
    that.
    """

    places: Places
    consoles: Callable[[str], Path]
    keep: bool = False
    cold: bool = False
    run: Path | None = None
    packages: tuple[str, ...] = ()

    def lease(self, guest: Guest) -> AbstractContextManager[Tenancy]:
        """Hold a lease for a guest of this run."""
        return leases.hold(self.places, guest.name, run=self.run)

    def taken(self, key: str) -> AbstractContextManager[Tenancy | None]:
        """Hold the lease of a guest that an earlier run parked; yield None if none is parked."""
        return leases.taken(self.places, key, run=self.run)

    def keep_guest(self, tenancy: Tenancy, login: Login) -> None:
        """Keep a guest, and end those of the same name that this run kept before."""
        new = tenancy.lease
        for lease in leases.kept(self.places):
            if lease.guest == new.guest and lease.owner == new.owner:
                leases.end(self.places, lease)
        tenancy.keep(login)
