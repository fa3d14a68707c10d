"""Ends a guest by its lease: its process, by pid and start time, and what is another daemon's."""

import logging
import shutil
import signal
from contextlib import suppress
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
"""For a QEMU to end in order: it writes back what it has, and then is killed."""

KILL_SECONDS = 5.0
"""For the kernel to let a killed process go; its lease stays where it does not."""

NAME_OPTION = "-name"
"""QEMU's option that shows the lease: all that is known of a QEMU whose owner died too early."""


def may_run(lease: Lease) -> bool:
    """Whether the guest runs, as far as can be told: of another daemon's machine it cannot."""
    return bool(lease.undo) or _running(lease) is not None


def _running(lease: Lease) -> Process | None:
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
    process = _running(lease)
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
    forget(places, lease)
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
