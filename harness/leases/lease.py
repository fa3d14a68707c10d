"""A lease: the record of a guest that may exist, with its owner, its end, and how to end it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from harness.machine import guarded
from harness.machine.files import as_exact_json, from_exact_json, write_whole
from harness.machine.pid import Process
from harness.machine.places import NAME, Places, private

SIZE_LIMIT = 1 << 20
"""Bytes of the largest lease that is read."""

LIFE = timedelta(days=2)
"""How long a guest may live unless it is kept; longer than any run allows it (`clocks.life`)."""


class Login(Struct, frozen=True):
    """How to log in to a kept guest: `key` is a private key file, `host_key` is `TYPE BASE64`."""

    host: str
    port: int
    user: str
    key: str
    host_key: str


class Undo(Struct, frozen=True):
    """A command that ends a guest which another daemon runs.

    It must also succeed if the guest is already gone. `environment` is added to that of the caller;
    `seconds` is its time limit. If it is not `decisive`, a failure is ignored.
    """

    argv: Annotated[tuple[str, ...], Meta(min_length=1)]
    seconds: Annotated[float, Meta(gt=0, le=3600)]
    environment: Mapping[str, str] = {}
    folder: str | None = None
    decisive: bool = True


class Lease(Struct, frozen=True):
    """A guest that may exist. If it is `kept`, it outlives its owner.

    `undo` lists the commands that end it, in order, in addition to killing its process. `run` is
    the folder of its run. After `expires` it is ended even if its owner still runs, because the
    owner may hang or be stopped. `parked` is the key of a guest that was powered off and has no
    owner; a run that needs a guest with this key may take it.
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
        """The argument of `-name` on the guest's command line."""
        return f"{NAME}-{self.id}"


class DamagedLease(Struct, frozen=True):
    """A file in the place of a lease that cannot be read, so its guest is unknown."""

    path: Path
    why: str

    @property
    def tag(self) -> str:
        """The tag of its guest, if the file still has the name that was given to it."""
        return f"{NAME}-{self.path.stem}"


def leases(places: Places) -> tuple[Lease, ...]:
    """Return all leases that can be read."""
    return tuple(lease for lease in map(_read, _files(places)) if isinstance(lease, Lease))


def damaged(places: Places) -> tuple[DamagedLease, ...]:
    """Return the leases that cannot be read; they are left alone, and the others are served."""
    return tuple(one for one in map(_read, _files(places)) if isinstance(one, DamagedLease))


def unchanged(places: Places, lease: Lease) -> bool:
    """Return whether a lease is still the same as when it was read."""
    return _read(_file(places, lease)) == lease


def _files(places: Places) -> list[Path]:
    return sorted((places.state / "leases").glob("*.json"))


def _read(path: Path) -> Lease | DamagedLease | None:
    try:
        lease = from_exact_json(guarded.read(path, SIZE_LIMIT, inside=path.parent), Lease)
    except FileNotFoundError:
        return None  # ended by its owner in the meantime
    except OSError as exc:
        return DamagedLease(path, exc.strerror or str(exc))
    except (ValueError, RecursionError) as exc:  # msgspec's are ValueErrors
        return DamagedLease(path, str(exc))
    if lease.id != path.stem:
        return DamagedLease(path, f"it is the lease {lease.id}, under another name")
    return lease


def _file(places: Places, lease: Lease) -> Path:
    return places.state / "leases" / f"{lease.id}.json"


def forget(places: Places, lease: Lease) -> None:
    """Remove the lease of a guest that has ended."""
    _file(places, lease).unlink(missing_ok=True)


def write(places: Places, lease: Lease) -> None:
    """Write a lease, whole or not at all."""
    private(places.state / "leases")
    writer = f".{lease.owner.pid}-{lease.owner.started}.new"
    write_whole(_file(places, lease), as_exact_json(lease), ending=writer, durable=True)
