"""Finds the processes that belong to a state folder, even if their leases are gone."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil


def processes_of(state: Path) -> Iterator[psutil.Process]:
    """Yield live processes whose command line or standard error names a file in `state`.

    The standard error of a QEMU is a file in its lease's folder; /proc names it even if deleted.
    """
    for process in psutil.process_iter():
        try:
            words, status = process.cmdline(), process.status()
            complaints = os.readlink(f"/proc/{process.pid}/fd/2")
        except (psutil.Error, OSError):
            continue
        if status != psutil.STATUS_ZOMBIE and any(
            str(state) in word for word in [*words, complaints]
        ):
            yield process


def machines_of(state: Path) -> list[int]:
    """Return the pids of the QEMUs among them."""
    return [process.pid for process in processes_of(state) if "qemu" in process.name()]
