"""A tunable has its value during a question and its old value afterwards, even after a kill.

Each test uses a new network namespace, so that the tunable of the machine is not changed.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
from sanitized_agent import sanitized_agent

from harness.deadline import Deadline
from harness.judge import conclude
from harness.model import State
from harness.providers.host import isolated
from harness.scenarios import CATALOGUE, SCRIPTS
from harness.wire.replies import Reply, parse

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("tunables")]

NAME = "net.ipv4.tcp_migrate_req"

FILE = "/proc/sys/net/ipv4/tcp_migrate_req"

PATIENCE = 20.0

SLOW = f"q failure-hung listeners=3 flows=48 deadline=9000 tunables={NAME}=1\n"
"""A question that takes as long as its deadline, so that a process can be killed meanwhile."""


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if isolated(Deadline(10)) != "network namespace":
        pytest.skip("no network namespace can be had here (unshare -n)")
    if not Path(FILE).exists():
        pytest.skip(f"this kernel has no {NAME}")
    return sanitized_agent(tmp_path_factory.mktemp("tunables"))


class Namespace:
    """A network namespace that exists until the input of the process in it ends."""

    def __init__(self, holder: subprocess.Popen[bytes]) -> None:
        self._holder = holder

    def command(self, *words: object) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", *map(str, words)]

    def value(self) -> str:
        """Return the value of the tunable; /proc/sys shows that of the reader's namespace."""
        done = subprocess.run(self.command("cat", FILE), capture_output=True, timeout=PATIENCE)
        return done.stdout.decode().strip()

    def ask(self, agent: Path, *questions: str) -> tuple[Reply, ...]:
        done = subprocess.run(
            self.command(agent, "batch", "jobs=4"),
            input="".join(questions).encode(),
            capture_output=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        return parse(done.stdout, SCRIPTS)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    command = ["unshare", "--net", "sh", "-c", "ip link set lo up; echo up; exec cat"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"up\n"
        try:
            yield Namespace(holder)
        finally:
            holder.stdin.close()
            holder.wait(PATIENCE)


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@contextmanager
def running(namespace: Namespace, agent: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a batch whose question is running, with the tunable set.

    nsenter has exec'ed the agent, so the process is the batch itself.
    """
    pipe = subprocess.PIPE
    command = namespace.command(agent, "batch")
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    ) as batch:
        assert batch.stdin is not None
        batch.stdin.write(SLOW.encode())
        batch.stdin.close()
        try:
            until(lambda: namespace.value() == "1", "the tunable is not set")
            until(
                lambda: len(psutil.Process(batch.pid).children(recursive=True)) >= 6, "no members"
            )
            yield batch
        finally:
            batch.kill()


def keeper_of(batch: subprocess.Popen[bytes]) -> psutil.Process:
    """Return the child that is a session leader."""
    children = psutil.Process(batch.pid).children()
    (keeper,) = [child for child in children if os.getsid(child.pid) == child.pid]
    return keeper


def question_of(batch: subprocess.Popen[bytes]) -> psutil.Process:
    children = psutil.Process(batch.pid).children()
    (question,) = [child for child in children if os.getsid(child.pid) != child.pid]
    return question


def family(batch: subprocess.Popen[bytes]) -> Sequence[psutil.Process]:
    return [psutil.Process(batch.pid), *psutil.Process(batch.pid).children(recursive=True)]


@pytest.mark.parametrize(("value", "verdict"), [("0", "reset"), ("1", "inherited")])
def test_the_queue_of_a_killed_worker_goes_as_the_tunable_says(
    value: str, verdict: str, agent: Path, namespace: Namespace
) -> None:
    question = f"failure-queued failure=kill flows=160 tunables={NAME}={value}\n"
    replies = namespace.ask(agent, f"a {question}", f"b {question}")
    assert [reply.torn for reply in replies] == [None, None]
    for reply in replies:
        assert reply.observation is not None
        assert reply.observation.facts[NAME] == int(value)
        assert conclude(CATALOGUE["failure-queued"], reply.observation).verdict == verdict
    assert namespace.value() == "0"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_value_is_put_back_when_the_batch_is_ended(
    number: int, agent: Path, namespace: Namespace
) -> None:
    with running(namespace, agent) as batch:
        everybody = family(batch)
        batch.send_signal(number)
        assert batch.wait(PATIENCE) == -number
        until(lambda: namespace.value() == "0", "the tunable is still set")
    until(lambda: not any(one.is_running() for one in everybody), f"left: {everybody}")


def test_the_value_is_put_back_when_the_process_group_is_killed(
    agent: Path, namespace: Namespace
) -> None:
    """What a transport does at its deadline and when it is closed."""
    with running(namespace, agent) as batch:
        os.killpg(batch.pid, signal.SIGKILL)
        until(lambda: namespace.value() == "0", "the tunable is still set")


def test_the_value_is_put_back_when_nobody_reads_any_more(
    agent: Path, namespace: Namespace
) -> None:
    """What an agent sees when its connection is lost."""
    with running(namespace, agent) as batch:
        assert batch.stdout is not None
        batch.stdout.close()
        until(lambda: namespace.value() == "0", "the tunable is still set")


def test_the_value_is_put_back_when_the_question_is_killed(
    agent: Path, namespace: Namespace
) -> None:
    with running(namespace, agent) as batch:
        os.kill(question_of(batch).pid, signal.SIGKILL)
        assert batch.wait(PATIENCE) == 0
        assert namespace.value() == "0"


def test_the_value_is_put_back_when_the_keeper_is_killed(agent: Path, namespace: Namespace) -> None:
    with running(namespace, agent) as batch:
        keeper_of(batch).kill()
        assert namespace.value() == "1"
        os.kill(question_of(batch).pid, signal.SIGKILL)
        assert batch.wait(PATIENCE) == 0
        assert namespace.value() == "0"


def test_what_somebody_else_sets_meanwhile_is_seen_and_left_alone(
    agent: Path, namespace: Namespace
) -> None:
    with running(namespace, agent) as batch:
        subprocess.run(namespace.command("sh", "-c", f"echo 0 > {FILE}"), check=True)
        out, err = batch.stdout, batch.stderr
        assert out is not None
        assert err is not None
        (reply,) = parse(out.read(), SCRIPTS)
        assert (batch.wait(PATIENCE), err.read()) == (0, b"")
    assert reply.observation is not None
    found = conclude(CATALOGUE["failure-hung"], reply.observation)
    assert found.state is State.INCONCLUSIVE
    assert "tunable changed under the measurement" in str(found.why)
    assert namespace.value() == "0"


def test_two_batches_at_once_take_turns(agent: Path, namespace: Namespace) -> None:
    """Otherwise the second would save the first one's value as the old one, and restore that."""
    with running(namespace, agent) as first:
        replies = namespace.ask(agent, f"x failure-queued flows=40 tunables={NAME}=0\n")
        assert first.wait(PATIENCE) == 0
    assert [(reply.torn, reply.status) for reply in replies] == [(None, 0)]
    assert replies[0].observation is not None
    assert replies[0].observation.facts[NAME] == 0
    assert namespace.value() == "0"


def unsupported(
    namespace: Namespace, agent: Path, *words: str, setting: str = f"{NAME}=1"
) -> str | None:
    done = subprocess.run(
        namespace.command(*words, agent, "batch"),
        input=f"q distribution tunables={setting}\n".encode(),
        capture_output=True,
        timeout=PATIENCE,
    )
    (reply,) = parse(done.stdout, SCRIPTS)
    assert reply.observation is not None, done.stderr
    assert conclude(CATALOGUE["distribution"], reply.observation).state is State.NOT_APPLICABLE
    return reply.observation.unsupported


def test_where_it_cannot_be_set_the_cell_is_not_applicable(
    agent: Path, namespace: Namespace
) -> None:
    frozen = 'mount --bind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys; exec "$@"'
    why = unsupported(namespace, agent, "unshare", "--mount", "sh", "-c", frozen, "sh")
    assert why == f"cannot set {NAME}: EROFS"
    (reply,) = namespace.ask(agent, "q distribution tunables=net.no.such=1\n")
    assert reply.observation is not None
    assert reply.observation.unsupported == "no such tunable: net.no.such"


def test_without_root_it_is_said_to_be_needed(agent: Path, namespace: Namespace) -> None:
    with TemporaryDirectory() as folder:  # other users may not enter pytest's
        Path(folder).chmod(0o755)
        reached = Path(shutil.copy(agent, folder))
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        why = unsupported(namespace, reached, *nobody)
    assert why == f"needs root: cannot set {NAME}: EACCES"


def test_a_batch_has_one_setting(agent: Path, namespace: Namespace) -> None:
    first = f"a distribution flows=16 tunables={NAME}=1\n"
    replies = namespace.ask(agent, first, "b distribution flows=16\n", first.replace("a", "c", 1))
    assert {reply.id: reply.status for reply in replies} == {"a": 0, "b": 64, "c": 0}


ALWAYS = "net.ipv4.tcp_syncookies=2"

DEAF = """
cd "$0" && mkdir net real && cat /proc/net/netstat >net/netstat || exit 1
mount --bind /proc real && ln -s real/self real/sys . && mount --rbind . /proc || exit 1
exec env ASAN_OPTIONS=detect_leaks=0 "$@"
"""
"""Runs a command where the kernel's counters stand still, and its tunables do not. The sanitizer
cannot look for leaks without the rest of /proc."""


def test_a_value_that_does_nothing_is_not_believed(
    agent: Path, namespace: Namespace, tmp_path: Path
) -> None:
    """Linux before 3.12 takes 2, reads it back, and goes on as with 1."""
    deaf = ("unshare", "--mount", "sh", "-c", DEAF, str(tmp_path))
    why = unsupported(namespace, agent, *deaf, setting=ALWAYS)
    assert why == f"{ALWAYS} does nothing here: a connection got no SYN cookie"
    (reply,) = namespace.ask(agent, f"q distribution flows=16 tunables={ALWAYS}\n")
    assert reply.observation is not None
    assert (reply.observation.unsupported, len(reply.observation.flows)) == (None, 1)
