"""Tools on this machine: they run to their end, or are ended."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from harness.deadline import Cancellation, Deadline
from harness.machine.pid import is_alive, of_pid
from harness.machine.process import ToolTimeoutError, execute, last_will


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


def test_a_log_grows_while_the_tool_runs(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    done = execute(
        ["sh", "-c", f"echo out; echo err >&2; cat {log} >{tmp_path}/seen"], Deadline(10), log=log
    )
    assert done.stdout == b"out\nerr\n"
    assert log.read_text() == (tmp_path / "seen").read_text() == "before\nout\nerr\n"


def test_a_tool_with_a_grace_tidies_up_first(tmp_path: Path) -> None:
    script = "trap 'echo tidy; exit 1' INT; echo up; while :; do sleep 0.1; done"
    with pytest.raises(ToolTimeoutError) as caught:
        execute(["sh", "-c", script], Deadline(0.5), log=tmp_path / "log", grace=10)
    assert caught.value.said == b"up\ntidy\n"


def test_a_tool_that_does_not_heed_the_grace_is_killed(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(ToolTimeoutError):
        execute(["sh", "-c", "trap '' INT; sleep 60"], Deadline(0.3), grace=0.5)
    assert time.monotonic() - began < 5


def test_the_pid_is_told() -> None:
    told: list[int] = []
    done = execute(["sh", "-c", "echo $$"], Deadline(10), started=told.append)
    assert told == [int(done.stdout)]


@pytest.mark.skipif(not last_will(), reason="no setpriv with --pdeathsig here")
def test_a_tool_with_a_last_will_dies_with_who_started_it(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from harness.deadline import Deadline
from harness.machine.process import execute, last_will
started = lambda pid: Path({str(tmp_path / "pid")!r}).write_text(str(pid))
execute([*last_will(), "sleep", "60"], Deadline(60), started=started)
"""
    with subprocess.Popen([sys.executable, "-c", script]) as owner:
        until = time.monotonic() + 20
        while not (tmp_path / "pid").exists() or not (text := (tmp_path / "pid").read_text()):
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(0.2)  # until setpriv has taken effect
        tool = of_pid(int(text))
        assert tool is not None
        owner.kill()
    until = time.monotonic() + 10
    while is_alive(tool):
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.skipif(not last_will(), reason="no setpriv with --pdeathsig here")
def test_a_tool_whose_parent_ended_first_does_not_start(tmp_path: Path) -> None:
    """The kernel sends no signal for a parent that ended before prctl(2) asked for it."""
    made = tmp_path / "made"
    middle = ["sh", "-c", '"$@"; :', "sh", *last_will(), "touch", str(made)]  # another parent
    assert subprocess.run(middle, check=True).returncode == 0
    assert not made.exists()
    subprocess.run([*last_will(), "touch", str(made)], check=True)
    assert made.exists()
