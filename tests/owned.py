"""Processes that belong to a state folder, whatever has become of their leases."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil


def processes_of(state: Path) -> Iterator[psutil.Process]:
    """Yield living processes whose command line or standard error names a file of `state`.

    A QEMU complains into a file of its lease's, which is known also when it was deleted.
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
