"""A process for ever: named by pid and start time, never by pid alone, for pids are used again."""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
from msgspec import Struct

GLANCE = 0.02
"""Seconds between two looks at whether a process that was sent a signal is gone."""


class Process(Struct, frozen=True):
    """A process for ever: `started` is in clock ticks since boot on Linux, else seconds (epoch).

    Ticks, because psutil's `create_time` moves with every step of the wall clock.
    """

    pid: int
    started: float


def of_pid(pid: int) -> Process | None:
    """Return the process that has this pid now; None if it has ended."""
    started = start_of(pid)
    return None if started is None else Process(pid, started)


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


def signalled(process: Process, number: signal.Signals, seconds: float) -> bool:
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
