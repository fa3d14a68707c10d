"""Makes live and dead processes, for tests of code that must tell them apart."""

import subprocess
import sys

from harness.machine.pid import Process, of_pid

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def child(*more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*SLEEP, *more])


def process_of(pid: int) -> Process:
    found = of_pid(pid)
    assert found is not None
    return found


def dead_process() -> Process:
    with subprocess.Popen(SLEEP) as process:
        found = process_of(process.pid)
        process.kill()
    return found
