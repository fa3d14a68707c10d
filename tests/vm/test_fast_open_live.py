"""The agent asks about TCP Fast Open only where listeners really take the data of a SYN.

Each question uses a new network namespace, so that the tunable of the machine is not changed.
"""

import subprocess
from pathlib import Path

import pytest
from sanitized_agent import sanitized_agent

from harness.deadline import Deadline
from harness.judge import conclude
from harness.model import Judgement, State
from harness.providers.host import isolated
from harness.scenarios import CATALOGUE, SCRIPTS
from harness.wire.replies import parse

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("tunables")]

FILE = "/proc/sys/net/ipv4/tcp_fastopen"

MIGRATION = "net.ipv4.tcp_migrate_req"

PATIENCE = 60.0


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if isolated(Deadline(10)) != "network namespace":
        pytest.skip("no network namespace can be had here (unshare -n)")
    if not Path(FILE).exists():
        pytest.skip("this kernel has no net.ipv4.tcp_fastopen")
    return sanitized_agent(tmp_path_factory.mktemp("fast-open"))


def asked(agent: Path, switch: int, *more: str) -> Judgement:
    """Return what is judged where the tunable has this value."""
    words = ("q failure-queued", "accept=fast-open", "flows=120", "loopback=up", *more)
    script = f'echo {switch} > {FILE} && exec "$@"'
    command = ["unshare", "-n", "sh", "-c", script, "sh", str(agent), "batch"]
    line = f"{' '.join(words)}\n".encode()
    done = subprocess.run(command, input=line, capture_output=True, timeout=PATIENCE)
    (reply,) = parse(done.stdout, SCRIPTS)
    assert reply.observation is not None, (reply, done.stderr)
    return conclude(CATALOGUE["failure-queued"], reply.observation)


@pytest.mark.parametrize(("switch", "side"), [(0, "no TCP Fast Open for clients"), (1, "SYN")])
def test_without_fast_open_there_is_a_reason_and_no_verdict(
    agent: Path, switch: int, side: str
) -> None:
    found = asked(agent, switch)
    assert found.state is State.NOT_APPLICABLE
    assert found.why is not None
    assert side in found.why
    assert f"net.ipv4.tcp_fastopen is {switch}" in found.why


def test_queued_connections_of_fast_open_are_reset(agent: Path) -> None:
    found = asked(agent, 3)
    assert found.verdict == "reset", found
    assert found.counts["queued"] == 120


def test_a_survivor_gets_connections_of_fast_open_where_they_migrate(agent: Path) -> None:
    if not Path("/proc/sys", *MIGRATION.split(".")).exists():
        pytest.skip(f"this kernel has no {MIGRATION}")
    assert asked(agent, 3, f"tunables={MIGRATION}=1").verdict == "inherited"
