"""A guest that lacks something: some cells say what is missing, all others are measured."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sanitized_agent import c_files, compiled, zig

from harness.agent.build import host_target
from harness.deadline import Deadline
from harness.judge import conclude
from harness.model import Judgement, State
from harness.providers.host import isolated
from harness.scenarios import CATALOGUE, SCRIPTS
from harness.wire.replies import parse

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("shortage")]

DISTRIBUTION = ("distribution", "flows=400")


@pytest.fixture(scope="module")
def agent() -> Iterator[Path]:
    """Built without sanitizers, which reserve terabytes of address space; in a folder that other
    users may enter."""
    if isolated(Deadline(10)) != "network namespace":
        pytest.skip("no network namespace can be had here (unshare -n)")
    command = [
        *zig(host_target()),
        "-static",
        "-std=c99",
        "-O2",
        "-D_DEFAULT_SOURCE",
        "-o",
        "agent",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        compiled([*command, *c_files()], folder)
        yield folder / "agent"


def judged(agent: Path, shortage: str, question: Sequence[str], loopback: str = "up") -> Judgement:
    """Ask in a new network namespace, in which a shell has limited something."""
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", f'{shortage} "$@"', "sh", str(agent), "batch"],
        input=f"q {' '.join(question)} loopback={loopback}\n".encode(),
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    (reply,) = parse(done.stdout, SCRIPTS)
    assert reply.observation is not None, reply.torn
    return conclude(CATALOGUE[question[0]], reply.observation)


UP = "ip link set lo up;"
IPV6 = f"{UP} echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; exec"
PAIR = ("precedence", "flows=160", "family=ipv6", "bind=mixed")

SHORTAGES = {
    "memory": ("exec prlimit --as=2500000", (*DISTRIBUTION[:1], "flows=15000"), "of memory"),
    "files": (
        "exec setpriv --bounding-set -sys_resource prlimit --nofile=64:64",
        DISTRIBUTION,
        "436 open files are needed, the hard limit is 64",
    ),
    "ipv6": (IPV6, (*DISTRIBUTION, "family=ipv6"), "no IPv6 here: bind: EADDRNOTAVAIL"),
    "ipv6-client": (IPV6, (*DISTRIBUTION, "family=ipv6", "bind=wildcard"), "no ::1 here"),
    "ipv6-pair": (IPV6, PAIR, "no IPv6 here: bind: EADDRNOTAVAIL"),
}


@pytest.mark.parametrize(("shortage", "question", "why"), SHORTAGES.values(), ids=SHORTAGES)
def test_a_guest_short_of_something_says_of_what(
    agent: Path, shortage: str, question: Sequence[str], why: str
) -> None:
    found = judged(agent, shortage, question, "as-is" if UP in shortage else "up")
    assert found.state is State.NOT_APPLICABLE
    assert why in (found.why or "")


@pytest.mark.parametrize(
    ("processes", "why"), [(2, "no metronome"), (3, "listener 1 of 4"), (5, "listener 3 of 4")]
)
def test_processes_that_cannot_be_had_are_no_failure_of_ours(
    agent: Path, processes: int, why: str
) -> None:
    """The limit counts per user (setrlimit(2)), so this uses a user without other processes."""
    user = f"setpriv --reuid {54320 + processes} --regid 54320 --clear-groups"
    limited = f"exec {user} prlimit --nproc={processes}"
    found = judged(agent, limited, DISTRIBUTION, "as-is")
    assert (found.state, "short of processes" in (found.why or "")) == (State.NOT_APPLICABLE, True)
    assert why in (found.why or "")


QUEUES = ("/proc/sys/net/core/somaxconn", "/proc/sys/net/ipv4/tcp_max_syn_backlog")

SCARCE = {
    "a soft limit of 64 files": "exec prlimit --nofile=64:4096",
    "100 ephemeral ports": "echo 32768 32867 > /proc/sys/net/ipv4/ip_local_port_range; exec",
    "queues of 4": "".join(f"echo 4 > {queue}; " for queue in QUEUES) + "exec",
    "one CPU": "exec taskset -c 0",
}


@pytest.mark.parametrize("scarcity", SCARCE.values(), ids=SCARCE)
@pytest.mark.parametrize(
    ("question", "verdict"),
    [
        (DISTRIBUTION, "balanced"),
        (("failure-established", "flows=160", "failure=kill"), "unaffected"),
        (("group-limit", "flows=4000"), "all"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_can_do_without_stands(
    agent: Path, scarcity: str, question: Sequence[str], verdict: str
) -> None:
    assert judged(agent, scarcity, question).verdict == verdict
