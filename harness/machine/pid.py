"""Identifies a process by pid and start time, because the system uses pids again."""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
from msgspec import Struct

GLANCE = 0.02
"""Seconds between two checks whether a process has ended after a signal."""


class Process(Struct, frozen=True):
    """A process and its start time: clock ticks since boot on Linux, elsewhere epoch seconds.

    Linux uses ticks, because psutil's `create_time` changes when the wall clock is set.
    """

    pid: int
    started: float


def of_pid(pid: int) -> Process | None:
    """Return the process that has this pid now; None if it has ended."""
    started = start_of(pid)
    return None if started is None else Process(pid, started)


def is_alive(process: Process) -> bool:
    """Return whether it still runs. A zombie does not: not every process 1 reaps its children."""
    return start_of(process.pid) == process.started


def start_of(pid: int) -> float | None:
    """Return when a process started, in the unit of `Process`; None if it has ended."""
    try:
        if sys.platform != "linux":
            process = psutil.Process(pid)
            return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
        text = Path("/proc", str(pid), "stat").read_text("utf-8", "replace")
    except (OSError, ValueError, psutil.Error):  # a pid that cannot be, such as -1
        return None
    # proc_pid_stat(5): the name, in parentheses, may hold anything; then state (3) to start (22).
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZXx" else float(fields[19])


def signalled(process: Process, number: signal.Signals, seconds: float) -> bool:
    """Send a signal and wait up to `seconds`; return whether the process has ended."""
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
    # The pid may be reused at any moment, a pidfd cannot. So open it first and check after that.
    descriptor = os.pidfd_open(process.pid)
    try:
        if is_alive(process):
            signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)
