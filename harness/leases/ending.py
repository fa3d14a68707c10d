"""Ends a guest by its lease: kills its process, and undoes what another daemon holds."""

import logging
import shutil
import signal
from itertools import pairwise
from pathlib import Path

import psutil

from harness.deadline import Deadline
from harness.leases.lease import Lease, Undo, forget
from harness.machine.pid import Process, is_alive, of_pid, signalled
from harness.machine.places import Places
from harness.machine.process import ToolTimeoutError, execute

logger = logging.getLogger(__name__)

TERM_SECONDS = 3.0
"""The time for QEMU to write back its data and end; after that it is killed."""

KILL_SECONDS = 5.0
"""The time for a killed process to end. If it does not, its lease stays."""

NAME_OPTION = "-name"
"""QEMU's option with the lease's tag. It finds a QEMU whose owner died before it wrote the pid."""

NAME_VARIABLE = "REUSEPORT_MATRIX_LEASE"
"""The environment variable with the lease's tag, for commands without such an option (Vagrant)."""


def may_run(lease: Lease) -> bool:
    """Return whether the guest may run; always true if another daemon runs it (`undo`)."""
    return bool(lease.undo) or _running(lease) is not None


def _running(lease: Lease) -> Process | None:
    """Return the process of a lease's guest; None if it does not run.

    A pid and a start time are not enough: a lease can be damaged or forged. The process must also
    bear the lease's name.
    """
    if lease.process is None:
        return process_of(lease.tag)
    if not is_alive(lease.process):
        return None
    if not bears(lease.process, lease.tag):
        text = "the lease of %s names process %d, which does not bear its name: left alone"
        logger.warning(text, lease.guest, lease.process.pid)
        return None
    return lease.process


def process_of(tag: str) -> Process | None:
    """Return the process that bears a lease's tag; None if there is none."""
    for process in psutil.process_iter():
        found = of_pid(process.pid)
        if found is not None and bears(found, tag):
            return found
    return None


def bears(process: Process, tag: str) -> bool:
    """Return whether a live process has the tag on its command line or in its environment."""
    try:
        shown = psutil.Process(process.pid)
        named = (NAME_OPTION, tag) in pairwise(shown.cmdline())
        named = named or shown.environ().get(NAME_VARIABLE) == tag
    except psutil.Error:  # it has ended, or is another user's
        return False
    # Checked after that: what was read may belong to a later process with the same pid.
    return named and is_alive(process)


def end(places: Places, lease: Lease) -> bool:
    """End a lease's guest, then remove its folder and the lease; return whether it still ran.

    If the guest cannot be ended, its lease stays, so that the next `gc` tries again.
    """
    process = _running(lease)
    if process is not None:
        logger.debug("ending guest %s, process %d", lease.guest, process.pid)
        orderly = signalled(process, signal.SIGTERM, TERM_SECONDS)
        if not orderly and not signalled(process, signal.SIGKILL, KILL_SECONDS):
            logger.warning("guest %s, process %d, does not end", lease.guest, process.pid)
            return False
    undone = [_undone(lease, undo) for undo in lease.undo]  # run all, even if one fails
    if not all(undone):
        return False
    folder = places.state / "guests" / lease.id
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        logger.warning("the folder %s cannot be removed", folder)
    forget(places, lease)
    return process is not None or bool(lease.undo)


def _undone(lease: Lease, undo: Undo) -> bool:
    """Run one of a lease's commands; return whether it succeeded, or need not."""
    folder = Path(undo.folder) if undo.folder is not None else None
    try:
        deadline = Deadline(undo.seconds)  # without a cancellation: a cancelled run must clean up
        done = execute(undo.argv, deadline, folder=folder, environment=undo.environment)
        why = f"status {done.status}: {(done.stderr or done.stdout).decode(errors='replace')}"
    except ToolTimeoutError:
        why = f"it did not end within {undo.seconds:g} s"
    except (OSError, ValueError) as exc:  # no folder, no program, a NUL in an argument
        why = f"it cannot be started: {exc}"
    else:
        if done.status == 0:
            return True
    command = " ".join(undo.argv)
    logger.warning("guest %s may still run: %s: %s", lease.guest, command, why.strip())
    return not undo.decisive
