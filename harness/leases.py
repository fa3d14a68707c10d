"""Every guest that may exist, written down before it starts; what no living run owns is ended.

A process is named by pid and start time, never by pid alone.
"""

import logging
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import msgspec
import psutil
from msgspec import Struct
from msgspec.structs import replace

from harness.deadline import Deadline
from harness.places import NAME, Places
from harness.process import ToolTimeoutError, execute

logger = logging.getLogger(__name__)

TERM_SECONDS = 3.0
KILL_SECONDS = 5.0
GLANCE = 0.02

NAME_OPTION = "-name"
"""QEMU's option that shows the lease: all that is known of a QEMU whose owner died too early."""


class Process(Struct, frozen=True):
    """A process for ever: `started` is in clock ticks since boot on Linux, else seconds (epoch).

    Ticks, because psutil's `create_time` moves with every step of the wall clock.
    """

    pid: int
    started: float


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

    `undo` is what ends it besides its process, in order.
    """

    id: str
    guest: str
    owner: Process
    folder: str
    created: str
    process: Process | None = None
    kept: bool = False
    login: Login | None = None
    undo: tuple[Undo, ...] = ()

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
        started = start_of(pid)
        if started is not None:
            self._change(replace(self.lease, process=Process(pid, started)))

    def undone_by(self, *commands: Undo) -> None:
        """Write down, before it starts, what ends a guest that is no process of ours."""
        self._change(replace(self.lease, undo=commands))

    def keep(self, login: Login) -> None:
        """Let the guest outlive its owner, until `stop`."""
        self._change(replace(self.lease, kept=True, login=login))

    def _change(self, lease: Lease) -> None:
        _write(self._places, lease)
        self.lease = lease


@contextmanager
def hold(places: Places, guest: str) -> Iterator[Tenancy]:
    """Hold a lease while the block runs; then end what still runs under it, unless it is kept."""
    started = start_of(os.getpid())
    assert started is not None
    token = secrets.token_hex(16)
    folder = places.state / "guests" / token
    created = datetime.now(UTC).isoformat(timespec="seconds")
    lease = Lease(token, guest, Process(os.getpid(), started), str(folder), created)
    _write(places, lease)
    tenancy = Tenancy(places, lease)
    try:
        folder.mkdir(mode=0o700, parents=True)
        yield tenancy
    finally:
        if not tenancy.lease.kept:
            end(places, tenancy.lease)


def gc(places: Places) -> tuple[Lease, ...]:
    """End every guest whose owner is gone, but for kept ones; return those that still ran."""
    orphans = [lease for lease in leases(places) if not is_alive(lease.owner)]
    ended = []
    for lease in orphans:
        if not lease.kept:
            ended += [lease] if end(places, lease) else []
        elif not may_run(lease):
            end(places, lease)
    return tuple(ended)


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
        except (OSError, msgspec.DecodeError) as exc:
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
            words = process.cmdline()
            started = start_of(process.pid)
            if started is not None and (NAME_OPTION, lease.tag) in pairwise(words):
                return Process(process.pid, started)
    return None


def is_alive(process: Process) -> bool:
    """Whether it still runs; a zombie does not (not every process 1 reaps what it inherits)."""
    return start_of(process.pid) == process.started


def start_of(pid: int) -> float | None:
    """Return when a process started, in the unit of `Process`; None if it has ended."""
    try:
        if sys.platform != "linux":
            process = psutil.Process(pid)
            return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
        text = Path("/proc", str(pid), "stat").read_text(errors="replace")
    except (OSError, psutil.Error):
        return None
    # proc_pid_stat(5): the name, in parentheses, may hold anything; then state (3) to start (22).
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZXx" else float(fields[19])


def end(places: Places, lease: Lease) -> bool:
    """End a lease's guest, remove its folder and the lease; return whether it still ran.

    A guest that cannot be ended keeps its lease: the next `gc` tries again.
    """
    process = running(lease)
    if process is not None:
        logger.debug("ending guest %s, process %d", lease.guest, process.pid)
        orderly = _signalled(process, signal.SIGTERM, TERM_SECONDS)
        if not orderly and not _signalled(process, signal.SIGKILL, KILL_SECONDS):
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


def _signalled(process: Process, number: signal.Signals, seconds: float) -> bool:
    """Send a signal and wait; whether the process is gone."""
    with suppress(ProcessLookupError):
        _send(process, number)
    until = time.monotonic() + seconds
    while is_alive(process):
        if time.monotonic() > until:
            return False
        time.sleep(GLANCE)
    return True


def _send(process: Process, number: signal.Signals) -> None:
    if sys.platform != "linux":
        if is_alive(process):
            os.kill(process.pid, number)
        return
    # A descriptor of the process, looked at afterwards, cannot come to mean another one.
    descriptor = os.pidfd_open(process.pid)
    try:
        if is_alive(process):
            signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def _write(places: Places, lease: Lease) -> None:
    folder = places.state / "leases"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    final = folder / f"{lease.id}.json"
    scratch = final.with_suffix(".new")
    with open(scratch, "wb", opener=_private) as file:
        file.write(msgspec.json.encode(lease))
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(final)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
