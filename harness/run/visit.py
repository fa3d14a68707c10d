"""A guest to look around in: the one that was kept, or one booted for the visit."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

import paramiko

from harness import clocks, leases
from harness.deadline import Deadline
from harness.errors import InfrastructureError, NotRunError, Phase
from harness.leases import Lease, Login
from harness.machine.places import Places
from harness.model import Guest
from harness.protocols import Transport
from harness.providers import choose
from harness.providers.workshop import Workshop
from harness.run.interruption import raising
from harness.run.names import known_guest
from harness.run.progress import speaking
from harness.transport import SshTransport
from harness.transport.keys import parse_key

logger = logging.getLogger(__name__)


@runtime_checkable
class Visited(Transport, Protocol):
    """A live guest that a terminal can be connected to; both transports of ours are that."""

    def interactive(self, argv: Sequence[str] | None) -> int:
        """Run `argv`, or a shell, on this process's terminal; return its status."""


@contextmanager
def entered(
    name: str, folders: Sequence[Path], provider: str | None, *, keep: bool, cold: bool
) -> Iterator[Visited]:
    """Yield the guest of this name for a person at a terminal: told what happens, free to leave."""
    places = Places.of_user()
    with raising(), speaking(verbose=True):
        leases.gc(places)
        guest = known_guest(name, folders)
        with visited(guest, places, only=provider, keep=keep, cold=cold) as live:
            yield live


@contextmanager
def visited(
    guest: Guest, places: Places, *, only: str | None, keep: bool, cold: bool
) -> Iterator[Visited]:
    """Yield the guest, as it was kept or freshly started."""
    lease = next((one for one in reversed(leases.kept(places)) if one.guest == guest.name), None)
    if lease is not None and lease.login is not None:
        logger.info("%s is up since %s", guest.name, lease.created)
        with closing(log_in(lease, lease.login)) as transport:
            yield transport
        return
    with _consoles(places, keep=keep) as folder:
        workshop = Workshop(places, lambda name: folder / f"{name}.log", keep, cold)
        offer = choose(guest, workshop, only)
        logger.info("%s is started by %s", guest.name, offer.name)
        with offer.provider.boot(guest, Deadline(clocks.boot(guest))) as live:
            if not isinstance(live, Visited):
                raise NotRunError(f"{guest.name}: {offer.name} has no terminal to offer")
            yield live


@contextmanager
def _consoles(places: Places, *, keep: bool) -> Iterator[Path]:
    """Yield a folder for the console's log, which stays as long as its guest.

    In the cache, from where it goes some day also if we are killed.
    """
    shelf = places.folder("consoles")
    if keep:
        yield Path(tempfile.mkdtemp(prefix="visit-", dir=shelf))
        return
    with tempfile.TemporaryDirectory(prefix="visit-", dir=shelf) as name:
        yield Path(name)


def log_in(lease: Lease, login: Login) -> SshTransport:
    """Connect to a guest that was kept, and insist on its host key."""
    try:
        host_key = parse_key(login.host_key)
        key = paramiko.PKey.from_path(login.key)
    except (paramiko.SSHException, OSError, ValueError) as exc:
        message = f"the lease of {lease.guest} does not let us log in: {exc}"
        hint = f"`reuseport-matrix stop {lease.guest}` ends the guest"
        raise InfrastructureError(Phase.CONNECT, message, hint=hint) from exc
    return SshTransport.connect(
        login.host,
        login.port,
        login.user,
        key,
        host_key,
        Deadline(clocks.KEPT_LOGIN),
        {},
    )
