"""The agent's own remote host (peer=tun): it speaks correct TCP, and sees what the kernel does."""

import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from sanitized_agent import sanitized_agent

from harness.deadline import Deadline
from harness.judge import conclude
from harness.model import Judgement
from harness.providers.host import isolated
from harness.scenarios import CATALOGUE, SCRIPTS
from harness.wire.observation import Observation
from harness.wire.replies import parse

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("peer")]

SMALL = 64 << 20

CAPTURE = Path(__file__).with_name("capture.py")

USUAL = re.compile(
    r"Connection (establish|finish|reset)"
    r"|This frame (initiates|undergoes) the connection closing"
    r"|A new tcp session is started with the same ports as an earlier session"
    r"|TCP Checksum 0xffff instead of 0x0000"
)
"""What tshark remarks about good connections. Ports come again because the scenario asks for it.
Linux itself sends a checksum of 0 as 0xffff (skb_checksum_help())."""

REPEATED = re.compile(r"This frame is a \(suspected\) retransmission")

QUESTIONS: dict[str, tuple[str, ...]] = {
    "ipv4": ("distribution", "flows=1000"),
    "ipv6": ("distribution", "flows=1000", "family=ipv6", "bind=wildcard"),
    "mapped": ("distribution", "flows=300", "family=mapped", "bind=wildcard"),
    "another port": ("server-port", "flows=500"),
    "restart": ("failure-flows", "flows=500", "change=restart"),
    "killed": ("failure-handshake", "flows=200", "failure=kill"),
    "closed": ("failure-handshake", "flows=200", "failure=close", "family=ipv6"),
    "in rounds": ("failure-handshake", "flows=96", "round=24", "failure=kill"),
}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if isolated(Deadline(10)) != "network namespace":
        pytest.skip("no network namespace can be had here (unshare -n)")
    if not Path("/dev/net/tun").exists():
        pytest.skip("no /dev/net/tun here")
    return sanitized_agent(tmp_path_factory.mktemp("peer"))


def asked(command: Sequence[object], question: Sequence[str], *settings: str) -> Observation:
    """Ask an agent in a new network namespace, in which these tunables were set before."""
    script = "".join(f"echo {value} > /proc/sys/{name}; " for name, value in map(split, settings))
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", f'{script} exec "$@"', "sh", *map(str, command), "batch"],
        input=f"q {' '.join(question)} peer=tun\n".encode(),
        capture_output=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    (reply,) = parse(done.stdout, SCRIPTS)
    assert reply.observation is not None, reply.torn
    return reply.observation


def split(setting: str) -> tuple[str, str]:
    name, _, value = setting.partition("=")
    return name.replace(".", "/"), value


def judged(agent: Path, question: Sequence[str], *settings: str) -> Judgement:
    seen = asked([agent], question, *settings)
    assert seen.unsupported is None
    return conclude(CATALOGUE[seen.begin.scenario], seen)


PLAIN = ("-d", "tcp.port==1-65535,data")
"""Ports are random, and on some of them tshark takes the data for a malformed protocol."""


def remarks(capture: Path) -> Counter[str]:
    """Return the remarks of tshark, with checksums verified, and how often each one came."""
    verified = ("-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE")
    shown = ("-T", "fields", "-e", "_ws.expert.message", "-E", "aggregator=|")
    done = subprocess.run(
        ["tshark", "-n", "-r", str(capture), *shown, *verified, *PLAIN],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    found = Counter(word for line in done.stdout.splitlines() for word in line.split("|") if word)
    return Counter({word: n for word, n in found.items() if not USUAL.match(word)})


def captured(agent: Path, question: Sequence[str], folder: Path) -> tuple[Observation, Path]:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed: `reuseport-matrix doctor --install --with tests`")
    path = folder / "peer.pcap"
    return asked([sys.executable, CAPTURE, path, agent], question), path


@pytest.mark.parametrize("name", QUESTIONS)
def test_tshark_has_nothing_to_remark(name: str, agent: Path, tmp_path: Path) -> None:
    seen, path = captured(agent, QUESTIONS[name], tmp_path)
    assert path.stat().st_size > 100 * sum(len(phase.fates) for phase in seen.flows)
    assert remarks(path) == {}


def test_an_answer_that_is_waited_for_comes_again_and_nothing_else_does(
    agent: Path, tmp_path: Path
) -> None:
    """In every held handshake the SYN-ACK is sent twice; tshark reports a retransmission."""
    held = ("failure-handshake", "flows=100", "failure=kill", "ack=after-repeat")
    seen, path = captured(agent, held, tmp_path)
    found = remarks(path)
    assert seen.phase("held").fates == ("open",) * 100
    assert [word for word in found if not REPEATED.match(word)] == []
    assert found.total() == 100


def test_tshark_sees_a_checksum_that_is_wrong(agent: Path, tmp_path: Path) -> None:
    _, path = captured(agent, QUESTIONS["ipv4"], tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF  # the last byte of the last packet
    path.write_bytes(content)
    assert any("checksum" in word.lower() for word in remarks(path))


def test_a_handshake_whose_listener_is_gone_is_reset(agent: Path) -> None:
    for ack in ("at-once", "after-repeat"):
        found = judged(agent, ("failure-handshake", "failure=kill", f"ack={ack}"))
        assert found.verdict == "reset", found
        assert found.counts["victim_reset"] > 50


ROUNDS = ("failure-handshake", "flows=96", "round=24")


def test_handshakes_in_rounds_are_held_a_short_time_beside_a_control(agent: Path) -> None:
    found = judged(agent, (*ROUNDS, "failure=kill"))
    assert found.verdict == "reset", found
    assert found.counts["control_served"] == found.counts["held"] == 96
    assert 50 <= found.statistics["held_longest_ms"] <= 700


def test_who_joins_takes_no_handshake_away(agent: Path) -> None:
    assert judged(agent, (*ROUNDS, "change=join")).verdict == "kept"


def test_an_ack_that_comes_after_a_repeat_is_held_that_long(agent: Path) -> None:
    seen = asked([agent], ("failure-handshake", "flows=40", "round=40", "ack=after-repeat"))
    found = conclude(CATALOGUE["failure-handshake"], seen)
    assert found.verdict == "reset", found
    assert set(seen.phase("control-repeated").fates) == {"open"}
    assert found.statistics["held_median_ms"] > 1000
    again = seen.phase("repeated").fates
    assert again.count("open") == found.counts["survivors_total"]


def test_a_syn_ack_that_comes_again_completes_no_handshake_that_is_held(agent: Path) -> None:
    """It did, before the phase had begun the flow: a third of 1500 then ended as `open` or `eof`.

    The ACKs of so many flows take longer than the second after which SYN-ACKs come again.
    """
    held = ("failure-handshake", "flows=2000", "failure=hang", "deadline=4000")
    seen = asked([agent], held)
    victim = seen.changes[0].member
    fates = zip(seen.phase("home").fates, seen.phase("fates").fates, strict=True)
    assert {now for was, now in fates if was != victim} <= {0, 1, 2, 3}


def test_questions_of_a_batch_have_nets_of_their_own(agent: Path) -> None:
    lines = [f"q{i} distribution peer=tun flows=50 seed=1" for i in range(8)]
    done = subprocess.run(
        ["unshare", "--net", str(agent), "batch", "jobs=8"],
        input="\n".join([*lines, ""]).encode(),
        capture_output=True,
        timeout=100,
    )
    replies = parse(done.stdout, SCRIPTS)
    verdicts = [
        set(reply.observation.phase("all").fates) <= {0, 1, 2, 3}
        for reply in replies
        if reply.observation is not None
    ]
    assert verdicts == [True] * 8


@pytest.mark.parametrize("setting", ["net.ipv4.tcp_syncookies=2", "net.ipv4.tcp_migrate_req=1"])
def test_a_survivor_completes_it_if_the_kernel_is_told_to(setting: str, agent: Path) -> None:
    """A cookie needs no state (tcp_syncookies.rst); migration moves it (ip-sysctl.rst)."""
    if not Path("/proc/sys", *setting.partition("=")[0].split(".")).exists():
        pytest.skip(f"this kernel has no {setting}")
    found = judged(agent, ("failure-handshake", "failure=close"), setting)
    assert found.verdict == "completed", found


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_twenty_thousand_flows_are_mapped(family: str, agent: Path) -> None:
    question = ("distribution", "flows=20000", f"family={family}", "bind=wildcard", "alarm=90")
    seen = asked([agent], question)
    assert conclude(CATALOGUE["distribution"], seen).verdict == "balanced"
    assert len(set(seen.phase("all").ports)) == 20000
    assert seen.took <= 30000


def test_the_agent_stays_small_with_twenty_thousand_flows(agent: Path) -> None:
    """All its processes together; shared memory counts once (Pss in smaps, proc(5))."""
    words = ["failure-flows", "peer=tun", "flows=20000", "change=restart", "alarm=90"]
    command = ["unshare", "--net", str(agent), *words]
    most, samples = 0, 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as asking:
        while asking.poll() is None:
            most, samples = max(most, memory(psutil.Process(asking.pid))), samples + 1
            time.sleep(0.02)
    assert asking.returncode == 0
    assert samples > 10
    assert 1 << 20 < most < SMALL


def memory(process: psutil.Process) -> int:
    """Return the bytes of a process and its descendants; one that has just ended counts 0."""
    found = 0
    try:
        for one in (process, *process.children(recursive=True)):
            found += int(one.memory_full_info().pss)
    except psutil.Error:
        pass
    return found


def test_who_may_make_no_device_is_told_so(agent: Path) -> None:
    """The user nobody (65534) without capabilities stands for a user without root."""
    drop = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--clear-groups")
    agent.parent.chmod(0o755)
    agent.parent.parent.chmod(0o755)
    seen = asked([*drop, agent], ["failure-handshake"])
    assert (seen.unsupported or "").startswith("needs root: no tun device can be opened: E")
