"""Aliases of the loopback interface are there while a question needs them, whoever is killed.

In a network namespace of its own, with IPv6: Linux routes all of 127/8 as it is.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sanitized_agent import sanitized_agent

from harness.deadline import Deadline
from harness.judge import conclude
from harness.providers.host import isolated
from harness.scenarios import CATALOGUE, SCRIPTS
from harness.wire.replies import parse

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("aliases")]

PATIENCE = 20.0

ORDERED = "option=reuseaddr protocol=udp family=ipv6 confirm=order loopback=up"
"""One socket serves all, on any Linux."""

LONG = f"q fallback {ORDERED} listeners=8 flows=4000\n"
"""Takes a while after the aliases are there."""


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if isolated(Deadline(10)) != "network namespace":
        pytest.skip("no network namespace can be had here (unshare -n)")
    return sanitized_agent(tmp_path_factory.mktemp("aliases"))


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that keeps a network namespace until its input ends."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo up; exec cat"], stdin=pipe, stdout=pipe
    ) as made:
        assert made.stdin is not None
        assert made.stdout is not None
        assert made.stdout.readline() == b"up\n"
        try:
            yield made
        finally:
            made.stdin.close()
            made.wait(PATIENCE)


def inside(holder: subprocess.Popen[bytes], *words: object) -> list[str]:
    return ["nsenter", f"--net=/proc/{holder.pid}/ns/net", *map(str, words)]


def aliases(holder: subprocess.Popen[bytes]) -> int:
    found = Path(f"/proc/{holder.pid}/net/if_inet6").read_text().splitlines()
    return sum(line.startswith("fd72") for line in found)


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.005)


def test_questions_at_once_confirm_the_order_and_leave_nothing(
    agent: Path, holder: subprocess.Popen[bytes]
) -> None:
    questions = "".join(f"q{i} distribution {ORDERED}\n" for i in range(4))
    command = inside(holder, agent, "batch", "jobs=4")
    done = subprocess.run(command, input=questions.encode(), capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr
    for reply in parse(done.stdout, SCRIPTS):
        assert reply.observation is not None, reply.torn
        assert len(reply.observation.phase("addresses").fates) == 64
        assert conclude(CATALOGUE["distribution"], reply.observation).verdict == "newest"
    assert aliases(holder) == 0


def test_with_many_addresses_a_hash_is_balanced(
    agent: Path, holder: subprocess.Popen[bytes]
) -> None:
    question = b"q datagrams protocol=udp family=ipv6 source=many-addresses loopback=up\n"
    command = inside(holder, agent, "batch")
    done = subprocess.run(command, input=question, capture_output=True, timeout=100)
    (reply,) = parse(done.stdout, SCRIPTS)
    assert reply.observation is not None, reply.torn
    assert conclude(CATALOGUE["datagrams"], reply.observation).verdict == "balanced"
    assert aliases(holder) == 0


@pytest.mark.parametrize("victim", ["question", "batch", "both", "terminated"])
def test_they_go_whoever_is_killed(
    agent: Path, holder: subprocess.Popen[bytes], victim: str
) -> None:
    pipe = subprocess.PIPE
    command = inside(holder, agent, "batch")
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as batch:
        assert batch.stdin is not None
        batch.stdin.write(LONG.encode())
        batch.stdin.close()
        until(lambda: aliases(holder) == 64, "no aliases")
        (question,) = psutil.Process(batch.pid).children()
        if victim in ("question", "both"):
            os.kill(question.pid, signal.SIGKILL)
        if victim in ("batch", "both"):
            os.kill(batch.pid, signal.SIGKILL)
        if victim == "terminated":
            os.kill(batch.pid, signal.SIGTERM)
        until(lambda: aliases(holder) == 0, "aliases stay")
        assert batch.stdout is not None
        batch.stdout.read()
        batch.wait(PATIENCE)
