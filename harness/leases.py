"""Every guest that may exist, written down before it starts; what no living run owns is ended.

So is what outlives its time, whoever owns it.
"""

import logging
import os
import re
import secrets
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import msgspec
import psutil
from msgspec import Meta, Struct
from msgspec.structs import replace

from harness.deadline import Deadline
from harness.pid import Process, is_alive, of_pid, signalled
from harness.places import NAME, Places, private
from harness.process import ToolTimeoutError, execute

logger = logging.getLogger(__name__)

TERM_SECONDS = 3.0
KILL_SECONDS = 5.0

LIFE = timedelta(days=2)
"""How long a guest may live that is not kept: more than its run gives it (`clocks.life`)."""

NAME_OPTION = "-name"
"""QEMU's option that shows the lease: all that is known of a QEMU whose owner died too early."""

WRITER = re.compile(r"\.([0-9]+)-([0-9]+\.[0-9]+)\.new$")
"""In the name of a lease that is being written: who writes it, as of `Process`."""


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

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires is not None and self.expires <= datetime.now(UTC)

    @property
    def tag(self) -> str:
        """What stands after `-name` on the guest's command line."""
        return f"{NAME}-{self.id}"


class Tenancy:
    """A lease in its owner's hands; `folder` is for the guest's files and goes with the lease."""

    def __init__(self, places: Places, lease: Lease) -> None:
        self._places = places
        self.lease = lease

    @property
    def folder(self) -> Path:
        """A folder of the guest's own, closed to others."""
        return Path(self.lease.folder)

    def runs(self, pid: int) -> None:
        """Write down the process that is the guest: a child of ours, not yet waited for."""
        process = of_pid(pid)
        if process is not None:
            self._change(replace(self.lease, process=process))

    def undone_by(self, *commands: Undo) -> None:
        """Write down, before it starts, what ends a guest that is no process of ours."""
        self._change(replace(self.lease, undo=commands))

    def keep(self, login: Login) -> None:
        """Let the guest outlive its owner, until `stop`: from here on it does not expire."""
        self._change(replace(self.lease, kept=True, login=login, expires=None))

    def _change(self, lease: Lease) -> None:
        _write(self._places, lease)
        self.lease = lease


@contextmanager
def hold(
    places: Places, guest: str, *, run: Path | None = None, life: timedelta | None = LIFE
) -> Iterator[Tenancy]:
    """Hold a lease while the block runs; then end what still runs under it, unless it is kept."""
    owner = of_pid(os.getpid())
    assert owner is not None
    token = secrets.token_hex(16)
    folder = places.state / "guests" / token
    now = datetime.now(UTC).replace(microsecond=0)
    lease = Lease(
        token,
        guest,
        owner,
        str(folder),
        now.isoformat(),
        run=None if run is None else str(run.absolute()),
        expires=None if life is None else now + life,
    )
    tenancy = Tenancy(places, lease)
    try:
        _write(places, lease)
        private(folder)
        yield tenancy
    finally:
        if not tenancy.lease.kept:
            _end_surely(places, tenancy.lease)


def _end_surely(places: Places, lease: Lease) -> None:
    """End a guest also if a signal comes meanwhile, which some commands take as an exception."""
    try:
        end(places, lease)
    except KeyboardInterrupt:
        end(places, lease)
        raise


def gc(places: Places) -> tuple[Lease, ...]:
    """End every guest whose owner is gone or whose time is over, but for kept ones.

    Return those that still ran.
    """
    _sweep(places)
    ended = []
    for lease in leases(places):
        owned = is_alive(lease.owner)
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


def _sweep(places: Places) -> None:
    """Remove leases that their owner had half written when it was killed."""
    for path in (places.state / "leases").glob("*.new"):
        writer = WRITER.search(path.name)
        if writer and not is_alive(Process(int(writer[1]), float(writer[2]))):
            path.unlink(missing_ok=True)


def stop(places: Places, names: Sequence[str] = ()) -> tuple[Lease, ...]:
    """End kept guests, and those without an owner: the named ones, or all; return which."""
    chosen = [
        lease
        for lease in leases(places)
        if (lease.kept or not is_alive(lease.owner)) and (not names or lease.guest in names)
    ]
    return tuple(lease for lease in chosen if end(places, lease))


def kept(places: Places) -> tuple[Lease, ...]:
    """Return the kept guests that still run, the latest last."""
    found = [lease for lease in leases(places) if lease.kept and may_run(lease)]
    return tuple(sorted(found, key=lambda lease: lease.created))


def leases(places: Places) -> tuple[Lease, ...]:
    """Return every lease there is."""
    found = []
    for path in sorted((places.state / "leases").glob("*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Lease))
        except FileNotFoundError:
            continue  # ended by its owner in the meantime
        except (OSError, ValueError, RecursionError) as exc:  # msgspec's are ValueErrors
            logger.warning("%s is not a lease of ours and is left alone: %s", path, exc)
    return tuple(found)


def may_run(lease: Lease) -> bool:
    """Whether the guest runs, as far as can be told: of another daemon's machine it cannot."""
    return bool(lease.undo) or running(lease) is not None


def running(lease: Lease) -> Process | None:
    """Return the process that is the guest of a lease, if it lives."""
    if lease.process is not None:
        return lease.process if is_alive(lease.process) else None
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found = of_pid(process.pid)
            # Looked at again after its words: they may be those of a later owner of the pid.
            if (NAME_OPTION, lease.tag) in pairwise(process.cmdline()) and found is not None:
                return found if is_alive(found) else None
    return None


def end(places: Places, lease: Lease) -> bool:
    """End a lease's guest, remove its folder and the lease; return whether it still ran.

    A guest that cannot be ended keeps its lease: the next `gc` tries again.
    """
    process = running(lease)
    if process is not None:
        logger.debug("ending guest %s, process %d", lease.guest, process.pid)
        orderly = signalled(process, signal.SIGTERM, TERM_SECONDS)
        if not orderly and not signalled(process, signal.SIGKILL, KILL_SECONDS):
            logger.warning("guest %s, process %d, does not end", lease.guest, process.pid)
            return False
    undone = [_undone(lease, undo) for undo in lease.undo]  # one that fails stops no other
    if not all(undone):
        return False
    folder = places.state / "guests" / lease.id
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        logger.warning("the folder %s cannot be removed", folder)
    (places.state / "leases" / f"{lease.id}.json").unlink(missing_ok=True)
    return process is not None or bool(lease.undo)


def _undone(lease: Lease, undo: Undo) -> bool:
    """Run one of a lease's commands; whether it succeeded."""
    folder = Path(undo.folder) if undo.folder is not None else None
    try:
        deadline = Deadline(undo.seconds)  # of its own: a guest is ended also when all is cancelled
        done = execute(undo.argv, deadline, folder=folder, environment=undo.environment)
        why = f"status {done.status}: {(done.stderr or done.stdout).decode(errors='replace')}"
    except ToolTimeoutError:
        why = f"it did not end within {undo.seconds:g} s"
    else:
        if done.status == 0:
            return True
    command = " ".join(undo.argv)
    logger.warning("guest %s may not be ended: %s: %s", lease.guest, command, why.strip())
    return not undo.decisive


def _write(places: Places, lease: Lease) -> None:
    folder = private(places.state / "leases")
    final = folder / f"{lease.id}.json"
    scratch = folder / f"{lease.id}.{lease.owner.pid}-{lease.owner.started}.new"
    try:
        with open(scratch, "wb", opener=_private) as file:
            file.write(msgspec.json.encode(lease))
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(final)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
