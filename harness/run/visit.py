"""Opens a guest for `shell`, `exec` and tests: one that was kept, or one booted for this."""

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
    """A live guest that a terminal can be connected to, as both transports allow."""

    def interactive(self, argv: Sequence[str] | None) -> int:
        """Run `argv` on this process's terminal, or a shell if None; return its exit status."""


@contextmanager
def entered(
    name: str, folders: Sequence[Path], provider: str | None, *, keep: bool, cold: bool
) -> Iterator[Visited]:
    """Yield the guest with this name to a person at a terminal: log progress, allow Ctrl-C."""
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
    """Yield the guest: the one that was kept, if there is one, else a new one.

    With `cold` a new one is booted in any case, beside the one that was kept.
    """
    lease = next((one for one in reversed(leases.kept(places)) if one.guest == guest.name), None)
    if lease is not None and cold:
        logger.info("%s was kept at %s; another one is booted beside it", guest.name, lease.created)
    elif lease is not None and lease.login is not None:
        logger.info("%s is up since %s", guest.name, lease.created)
        if only is not None:
            logger.warning(
                "%s is entered as it was kept, whoever started it; `reuseport-matrix stop %s`, or "
                "--cold, lets %s start it",
                *(guest.name, guest.name, only),
            )
        with closing(log_in(lease, lease.login)) as transport:
            yield transport
        return
    with _consoles(places, keep=keep) as folder:
        workshop = Workshop(places, lambda name: folder / f"{name}.log", keep, cold)
        offer = choose(guest, workshop, only)
        logger.info("%s is started by %s", guest.name, offer.name)
        with offer.provider.boot(guest, Deadline(clocks.boot(guest))) as live:
            if not isinstance(live, Visited):
                raise NotRunError(f"{guest.name}: {offer.name} cannot connect a terminal")
            yield live


@contextmanager
def _consoles(places: Places, *, keep: bool) -> Iterator[Path]:
    """Yield a folder for the console's log; it stays as long as its guest.

    It is in the cache, so that pruning removes it even if this process is killed.
    """
    shelf = places.folder("consoles")
    if keep:
        yield Path(tempfile.mkdtemp(prefix="visit-", dir=shelf))
        return
    with tempfile.TemporaryDirectory(prefix="visit-", dir=shelf) as name:
        yield Path(name)


def log_in(lease: Lease, login: Login) -> SshTransport:
    """Connect to a guest that was kept; accept only the host key in its lease."""
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
