"""A guest that may exist, written down: whose it is, what ends it, and until when."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from harness.machine.files import write_whole
from harness.machine.pid import Process
from harness.machine.places import NAME, Places, private

logger = logging.getLogger(__name__)

LIFE = timedelta(days=2)
"""How long a guest may live that is not kept: more than its run gives it (`clocks.life`)."""


class Login(Struct, frozen=True):
    """How to log in to a kept guest; `key` is a private key file, `host_key` `type base64`."""

    host: str
    port: int
    user: str
    key: str
    host_key: str


class Undo(Struct, frozen=True):
    """A command that takes away what is no process of ours: another daemon's machine.

    It succeeds also where nothing is left to be taken away. `environment` is added to that of who
    ends the guest; `seconds` bound it. One that is not `decisive` may fail."""

    argv: tuple[str, ...]
    seconds: float
    environment: Mapping[str, str] = {}
    folder: str | None = None
    decisive: bool = True


class Lease(Struct, frozen=True):
    """A guest that may exist. It is `kept` once it is to outlive its owner.

    `undo` is what ends it besides its process, in order; `run` the folder of the run that it is
    part of. Past `expires` it is ended though its owner lives: that may hang, or be stopped.
    `parked`: it is powered off, in good order, and nobody's; a run that makes a guest of that name
    may take it.
    """

    id: Annotated[str, Meta(pattern=r"\A[0-9a-z-]+\Z")]  # a folder's name, which `end` removes
    guest: str
    owner: Process
    folder: str
    created: str
    process: Process | None = None
    kept: bool = False
    login: Login | None = None
    undo: tuple[Undo, ...] = ()
    run: str | None = None
    expires: Annotated[datetime, Meta(tz=True)] | None = None
    parked: str | None = None

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires is not None and self.expires <= datetime.now(UTC)

    @property
    def tag(self) -> str:
        """What stands after `-name` on the guest's command line."""
        return f"{NAME}-{self.id}"


def leases(places: Places) -> tuple[Lease, ...]:
    """Return every lease there is."""
    paths = sorted((places.state / "leases").glob("*.json"))
    return tuple(lease for lease in map(_read, paths) if lease is not None)


def unchanged(places: Places, lease: Lease) -> bool:
    """Whether a lease is still as it was read."""
    return _read(_file(places, lease)) == lease


def _read(path: Path) -> Lease | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Lease)
    except FileNotFoundError:
        return None  # ended by its owner in the meantime
    except (OSError, ValueError, RecursionError) as exc:  # msgspec's are ValueErrors
        logger.warning("%s is not a lease of ours and is left alone: %s", path, exc)
        return None


def _file(places: Places, lease: Lease) -> Path:
    return places.state / "leases" / f"{lease.id}.json"


def forget(places: Places, lease: Lease) -> None:
    """Remove a lease whose guest is no more."""
    _file(places, lease).unlink(missing_ok=True)


def write(places: Places, lease: Lease) -> None:
    """Write a lease down, whole or not at all."""
    private(places.state / "leases")
    writer = f".{lease.owner.pid}-{lease.owner.started}.new"
    write_whole(_file(places, lease), msgspec.json.encode(lease), ending=writer, durable=True)
