"""The agent's batch on this machine's kernel: loaded questions run while others wait."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from sanitized_agent import sanitized_agent

from harness.deadline import Deadline
from harness.providers.host import isolated
from harness.scenarios import SCRIPTS
from harness.wire.replies import Reply, parse

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("batch")]

PATIENCE = 60.0

WAITS = 3.0
"""The deadline in seconds of a question that waits until it passes."""

WAITING = f"failure-hung flows=40 deadline={WAITS * 1000:.0f} loopback=up"

WORKING = "distribution flows=40 load=100 loopback=up"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if isolated(Deadline(10)) != "network namespace":
        pytest.skip("no network namespace can be had here (unshare -n)")
    return sanitized_agent(tmp_path_factory.mktemp("batch"))


def asked(agent: Path, jobs: int, questions: Sequence[str]) -> Sequence[Reply]:
    """Return the replies in the order in which the questions ended."""
    done = subprocess.run(
        ["unshare", "--net", str(agent), "batch", f"jobs={jobs}"],
        input="".join(f"q{i} {text}\n" for i, text in enumerate(questions)).encode(),
        capture_output=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return parse(done.stdout, SCRIPTS)


def test_what_works_is_asked_while_others_wait(agent: Path) -> None:
    began = time.monotonic()
    replies = asked(agent, 3, [*[WAITING] * 3, *[WORKING] * 6])
    took = time.monotonic() - began
    assert [reply.status for reply in replies] == [0] * 9
    assert [reply.id for reply in replies][:6] == [f"q{i}" for i in range(3, 9)]
    assert took >= WAITS


def test_no_more_wait_at_once_than_jobs(agent: Path) -> None:
    began = time.monotonic()
    assert len(asked(agent, 2, [WAITING] * 3)) == 3
    assert time.monotonic() - began >= 2 * WAITS


def test_more_questions_than_are_read_ahead_are_all_answered(agent: Path) -> None:
    questions = ["sharing load=100 loopback=up", "sharing", "unknown", "sharing load=7"] * 150
    replies = asked(agent, 2, questions)
    assert sorted(int(reply.id[1:]) for reply in replies) == list(range(600))
    said = {int(reply.id[1:]) % 4: reply.status for reply in replies}
    assert said == {0: 0, 1: 0, 2: 77, 3: 64}


@pytest.mark.skipif(sys.platform != "linux", reason="SCHED_BATCH is Linux's")
def test_nobody_of_the_agents_interrupts_the_others(agent: Path) -> None:
    """Otherwise a guest with an emulated CPU takes twice as long: sched(7), SCHED_BATCH."""
    (facts,) = asked(agent, 1, ["facts"])
    assert facts.observation is not None
    assert facts.observation.facts["take_turns"] == 1
    command = ["unshare", "--net", str(agent), *WAITING.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()  # a member stands
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(True)]
        policies = sorted(os.sched_getscheduler(one.pid) for one in family)
        assert len(policies) > 4
        assert policies == [os.SCHED_OTHER, *[os.SCHED_BATCH] * (len(policies) - 1)]  # metronome
        process.terminate()
        process.stdout.read()
