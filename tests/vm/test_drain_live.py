"""`drain` on this machine's own kernel: each way really retires members; no process is left."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
from test_agent_targets import running, sanitized  # noqa: F401 - a fixture

from harness.deadline import Deadline
from harness.providers.host import isolated
from harness.scenarios import SCRIPTS
from harness.scenarios.drain import WAYS
from harness.wire.observation import Observation
from harness.wire.replies import parse

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("sanitized")]

ROUNDS = 8


@pytest.fixture(scope="module")
def agent(sanitized: Path) -> Path:  # noqa: F811 - the fixture's name
    if isolated(Deadline(10)) != "network namespace":
        pytest.skip("no network namespace can be had here (unshare -n)")
    return sanitized


def command(agent: Path, *words: str) -> list[str]:
    return ["unshare", "-n", str(agent), *words]


def asked(agent: Path, *more: str) -> Observation:
    usual = {"flows": "1200", "rounds": str(ROUNDS), "loopback": "up"}
    numbers = usual | dict(one.split("=") for one in more)
    words = ["drain", *(f"{key}={value}" for key, value in numbers.items())]
    done = subprocess.run(
        command(agent, "batch"),
        input=f"q {' '.join(words)}\n".encode(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    (reply,) = parse(done.stdout, SCRIPTS)
    assert (reply.torn, done.stderr) == (None, b"")
    assert reply.observation is not None
    return reply.observation


@pytest.mark.parametrize("way", WAYS)
def test_members_retire_and_come_back_while_flows_begin(agent: Path, way: str) -> None:
    seen = asked(agent, f"way={way}")
    assert [change.what for change in seen.changes] == [way, "back"] * ROUNDS
    assert {change.error for change in seen.changes} == {None}
    leavers = [change.member for change in seen.changes[::2]]
    assert leavers == [change.member for change in seen.changes[1::2]]
    assert len({*leavers}) > 2  # in turn, except one that no flow reached meanwhile
    began = seen.phase("stream").started
    between = [sum(one.at <= at <= two.at for at in began) for one, two in pairwise(seen.changes)]
    assert min(between) > 0
    assert median(between) >= 64 - 16
    assert running(agent) == []


def test_who_inherits_serves_under_an_index_of_its_own_and_only_then(agent: Path) -> None:
    """How many of the 16 per retirement depends on the scheduler: 26 to 190 in all."""
    assert Counter(asked(agent, "way=inherit").phase("stream").fates)[4] > ROUNDS
    for way in ("close", "pass"):
        assert 4 not in asked(agent, f"way={way}").phase("stream").fates


def test_a_descriptor_that_is_passed_is_not_closed_on_the_way(agent: Path) -> None:
    """Only the last close() of the descriptor can reset the connections queued on it."""
    for way in ("pass", "inherit"):
        fates = asked(agent, f"way={way}").phase("stream").fates
        assert [fate for fate in fates if not isinstance(fate, int)] == []


@pytest.mark.parametrize("way", ["pass", "inherit"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_question_that_is_killed_leaves_no_heir(
    agent: Path, way: str, number: signal.Signals
) -> None:
    words = ["drain", "loopback=up", "flows=20000", "rounds=150", f"way={way}"]
    with subprocess.Popen(command(agent, *words), stdout=subprocess.PIPE) as question:
        assert question.stdout is not None
        while f'"{way}"'.encode() not in question.stdout.readline():
            assert question.poll() is None
        question.send_signal(number)
        question.communicate(timeout=10)
    until = time.monotonic() + 3
    while running(agent) and time.monotonic() < until:
        time.sleep(0.02)
    assert running(agent) == []


def test_every_retirement_meets_flows_between_its_steps(agent: Path) -> None:
    """Each gap has 16 flows, even on a loaded machine: this does not depend on the scheduler."""
    gaps = {"close": 2, "shutdown": 2, "relisten-zero": 2, "pass": 2, "inherit": 1}
    for way in WAYS:
        assert asked(agent, f"way={way}").facts["exposed"] == 16 * gaps[way] * ROUNDS


def test_what_comes_between_the_last_accept_and_close_is_met_on_a_loaded_machine(
    agent: Path,
) -> None:
    """A quarter of 16 flows at each retirement; without flows in the gap, close() loses none."""
    spin = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(spin) for _ in range(os.cpu_count() or 1)]
    try:
        seen = asked(agent, "flows=6300", "rounds=48")
    finally:
        for one in busy:
            one.kill()
            one.wait()
    lost = Counter(fate for fate in seen.phase("stream").fates if not isinstance(fate, int))
    assert 48 * 2 < lost["ECONNRESET"] == lost.total() < 48 * 6


def test_connections_wait_in_the_queue_that_is_emptied(agent: Path) -> None:
    for way in ("close", "relisten-zero"):
        assert int(asked(agent, f"way={way}").facts["drained"]) > ROUNDS


def test_an_only_member_and_changes_too_close_are_refused(agent: Path) -> None:
    assert asked(agent, "listeners=1").unsupported
    done = subprocess.run(
        command(agent, "drain", "loopback=up", "flows=400", "rounds=20"),
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 77
    assert b"40 flows between two changes" in done.stdout
