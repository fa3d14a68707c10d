"""A process is identified by pid and start time: a later process with the pid is left alone."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from processes import child, dead_process, process_of

from harness.machine.pid import is_alive, of_pid, signalled


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    with child() as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_signal_goes_to_a_pid_that_is_used_again(
    number: signal.Signals, bystander: subprocess.Popen[bytes]
) -> None:
    other = process_of(bystander.pid)
    assert signalled(replace(other, started=other.started - 1), number, seconds=1)
    assert signalled(dead_process(), number, seconds=1)
    time.sleep(0.1)  # a signal would have arrived by now
    assert bystander.poll() is None
    assert signalled(other, number, seconds=5)


def test_a_zombie_is_dead() -> None:
    gone = child()
    found = process_of(gone.pid)
    gone.kill()
    while is_alive(found):
        time.sleep(0.01)
    assert Path(f"/proc/{gone.pid}").exists() or sys.platform != "linux"
    gone.wait()


def test_a_pid_that_nobody_has_is_no_process() -> None:
    assert of_pid(dead_process().pid) is None
