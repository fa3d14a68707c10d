"""Tools of this machine, run to their end or ended."""

import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from harness.deadline import Cancellation, Deadline
from harness.providers.process import ToolTimeoutError, execute


def test_a_tool_says_what_it_says() -> None:
    done = execute(["sh", "-c", "echo out; echo err >&2; exit 3"], Deadline(10))
    assert (done.status, done.stdout, done.stderr) == (3, b"out\n", b"err\n")


def test_a_tool_that_is_not_there_has_status_127() -> None:
    assert execute(["no-such-tool-anywhere"], Deadline(10)).status == 127


def test_messages_are_in_english_and_more_can_be_set() -> None:
    done = execute(["sh", "-c", "echo $LC_ALL $MORE"], Deadline(10), environment={"MORE": "x"})
    assert done.stdout == b"C x\n"


def test_a_tool_is_ended_with_its_children(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! >{tmp_path}/pid; wait"
    began = time.monotonic()
    with pytest.raises(ToolTimeoutError):
        execute(["sh", "-c", script], Deadline(0.5))
    assert time.monotonic() - began < 5
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.02)
    pytest.fail("a child of the tool lives on")


def test_a_cancellation_ends_a_tool() -> None:
    cancellation = Cancellation()
    timer = threading.Timer(0.3, cancellation.say)
    timer.start()
    began = time.monotonic()
    with pytest.raises(ToolTimeoutError):
        execute([sys.executable, "-c", "import time; time.sleep(60)"], Deadline(60, cancellation))
    assert time.monotonic() - began < 5
    timer.join()
