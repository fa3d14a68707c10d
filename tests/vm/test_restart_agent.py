"""`restart` on this machine's own kernel, with tiny servers that do what they should."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from restart_asked import (
    TROUBLE,
    Plan,
    answered,
    fickle,
    in_namespace,
)
from test_agent_targets import sanitized  # noqa: F401 - a fixture

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("sanitized")]


@pytest.fixture(scope="module")
def agent(sanitized: Path) -> Path:  # noqa: F811 - the fixture's name
    return in_namespace(sanitized)


def test_a_good_server_loses_nothing(agent: Path) -> None:
    said = answered(agent, Plan(fickle("good")))
    assert said.start == (None, None)
    assert said.facts["capacity"] > 50
    assert 20 <= said.facts["rate"] <= 5000
    assert said.facts["rehearsal"] < 2000
    assert said.fates("control") == {1: 100}  # the rehearsal made it
    fates = said.fates("restarts")
    assert 200 <= fates.total() <= 900  # with the reserve of a restart that takes long
    assert {2, 3, 4} <= fates.keys() <= {1, 2, 3, 4}
    assert [change["what"] for change in said.events("change")] == ["restart", "restarted"] * 3
    assert [change["member"] for change in said.events("change")] == [1, 1, 2, 2, 3, 3]
    assert sum(said.fates("kept").values()) == 4
    assert (said.facts["restarts"], said.facts["generations"]) == (3, 1)
    assert said.facts.keys().isdisjoint({*TROUBLE, "said"})


def test_the_kinds_of_lines_come_in_one_order(agent: Path) -> None:
    said = answered(agent, Plan(fickle("good")))
    first = {line["event"]: place for place, line in reversed([*enumerate(said.lines)])}
    phases = [line["phase"] for line in said.events("flows")]
    assert phases == ["control", "restarts", "kept"]
    assert first["begin"] < first["attempt"] < first["fact"] < first["flows"] < first["change"]


def test_a_heavy_stream_is_faster(agent: Path) -> None:
    light, heavy = (
        answered(agent, Plan(fickle("good")), "flows=9000", f"traffic={traffic}").facts["rate"]
        for traffic in ("light", "heavy")
    )
    assert light * 1.5 < heavy <= 10_000


def test_connections_that_are_lost_are_counted(agent: Path) -> None:
    said = answered(agent, Plan(fickle("loses")), "flows=2000")
    lost = said.fates("restarts")
    assert lost["ECONNRESET"] + lost["ECONNREFUSED"] > 0
    assert said.fates("control").keys() <= {1, "ECONNRESET", "ECONNREFUSED"}
    assert "ready to serve" in said.facts["said"]


def test_error_answers_are_failed(agent: Path) -> None:
    """The rehearsal is the first time that it is told."""
    said = answered(agent, Plan(fickle("sick"), ["signal HUP main", "sleep 100"]))
    assert said.fates("restarts").keys() == said.fates("kept").keys() == {"failed"}


def test_a_server_that_hangs_leaves_its_connections_open(agent: Path) -> None:
    plan = Plan(fickle("deaf"), ["signal HUP main", "sleep 100"])
    said = answered(agent, plan, "rounds=2", "span=1", "traffic=heavy")
    fates = said.fates("restarts")
    assert fates.keys() <= {"open", "timeout"}
    assert max(line["took"][-1] for line in said.events("flows")) >= 5000


def test_a_daemon_is_found_and_ended(agent: Path) -> None:
    start = f"setsid {fickle('good').removeprefix('exec ')} & echo $! >pid"
    way = ("write", "signal HUP file:pid", "new")
    said = answered(agent, Plan(start, way, ["signal TERM file:pid", "gone file:pid"]))
    assert said.facts["restarts"] == 3
    assert said.facts.keys().isdisjoint(TROUBLE)
    said = answered(agent, Plan(start, stop=[]))
    assert said.facts["failed"] == "rehearsal, step 2 (signal HUP main): ESRCH"
    assert said.facts["leftover"] == 1


def test_a_daemon_that_says_who_it_is_is_the_main_process(agent: Path) -> None:
    start = f"setsid {fickle('good').removeprefix('exec ')} & echo $! >pid"
    said = answered(agent, Plan(start, head=["pid pid"]))
    assert said.facts["restarts"] == 3
    assert said.facts.keys().isdisjoint(TROUBLE)


def test_the_stream_covers_each_restart(agent: Path) -> None:
    """It is slower when restarts take longer, and two are made in any case."""
    said = answered(agent, Plan(fickle("good"), ["write", "signal HUP main", "new", "sleep 900"]))
    assert said.facts["rate"] <= 600 / (2 * (0.9 + 0.5))
    assert said.facts["restarts"] in (2, 3)
    assert "uncovered" not in said.facts
    (flows,) = [line for line in said.events("flows") if line["phase"] == "restarts"]
    assert max(flows["started"]) > max(one["at"] for one in said.events("change")) + 200


def test_a_restart_that_outlasts_the_stream_is_told(agent: Path) -> None:
    way = ["run test -e here && sleep 9; touch here"]
    said = answered(agent, Plan(fickle("good"), way), "flows=100")
    assert said.facts["uncovered"] == 1


def test_no_more_generations_are_made_than_can_be_told_apart(agent: Path) -> None:
    said = answered(agent, Plan(fickle("good"), ["write"] * 20), "flows=2000")
    assert said.facts["restarts"] == 2


def test_connections_that_serve_once_are_not_kept(agent: Path) -> None:
    said = answered(agent, Plan(fickle("good"), head=["once"]))
    assert said.fates("kept").total() == 0


def test_a_second_instance_takes_over(agent: Path) -> None:
    """One that cannot bind ends, and so does the restart."""
    way = ("write", "start", "new", "signal TERM main", "gone main", "main second")
    said = answered(agent, Plan(fickle("good"), way))
    assert said.facts["failed"] == "rehearsal, step 3 (new): ECHILD"
    assert "Address already in use" in said.facts["said"]


def test_values_are_filled_in_and_other_braces_stay(agent: Path) -> None:
    files = {"conf": "{generation}", "sub/all": "{port} {folder} {workers} {generation} {other} {"}
    way = ("set workers 7", "write", "run cat sub/all; exit 1")
    said = answered(agent, Plan(fickle("good"), way, files=files)).facts["said"]
    words = said.split("ready to serve\n")[-1].split(" ", 2)
    assert words[0].isdigit()
    assert words[1].startswith("/")
    assert words[2].startswith("7 1 {other} {")


def test_a_system_of_its_own_is_entered_and_left_as_it_is(agent: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can")
    for folder in ("proc", "dev", "tmp", "srv"):
        (tmp_path / folder).mkdir()
    for folder in ("bin", "lib", "lib64", "usr"):
        (tmp_path / folder).symlink_to(f"/nowhere/{folder}")
    said = answered(agent, Plan("exit 0", head=[f"root {tmp_path}"]))
    assert said.start == ("exec", "ECHILD")
    assert {path.name for path in tmp_path.iterdir()} == {
        *("proc", "dev", "tmp", "srv", "bin", "lib", "lib64", "usr")
    }
    assert [*(tmp_path / "srv").iterdir(), *(tmp_path / "dev").iterdir()] == []


def test_tcp_servers_are_asked_as_the_plan_says(agent: Path) -> None:
    server = (
        "import socket;s=socket.create_server(('127.0.0.1',{port}));\n"
        "while True:\n c,_=s.accept();d=c.recv(9);"
        "c.sendall(b'hi\\0' if d==b'yo\\0\\n' else b'what');c.close()\n"
    )
    plan = Plan(
        f"exec {sys.executable} server.py",
        ["sleep 1"],
        files={"server.py": server},
        protocol="tcp",
        request=b"yo\0\n",
        answer=b"hi\0",
    )
    said = answered(agent, plan)
    assert {*said.fates("restarts")} == {0}
    assert said.facts["generations"] == 0


DNS = """
import socket, struct, sys
def reply(q, rcode=0):
    a = b'\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\0\\0\\4\\x7f\\1\\0' + bytes([{generation}])
    return q[:2] + bytes([0x84, rcode]) + b'\\0\\1\\0\\1\\0\\0\\0\\0' + q[12:] + a
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(('127.0.0.1', {port}))
if sys.argv[1] == 'udp':
    while True:
        q, who = udp.recvfrom(512); udp.sendto(reply(q), who)
door = socket.create_server(('127.0.0.1', {port}))
while True:
    c, _ = door.accept()
    q = c.recv(512)
    if q: m = reply(q[2:]); c.sendall(struct.pack('>H', len(m)) + m)
    c.close()
"""


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_dns_servers_are_asked_for_an_address(agent: Path, transport: str) -> None:
    start = f"exec {sys.executable} server.py {transport}"
    way = ("write", "signal KILL main", "gone main", "start", "main second", "new")
    plan = Plan(start, way, files={"server.py": DNS}, protocol=f"dns-{transport}")
    said = answered(agent, plan, "rounds=2", "flows=1000")
    fates = said.fates("restarts")
    assert fates["ECONNREFUSED"] > 0
    assert min(fates[2], fates[3]) > 0
    assert (said.fates("kept").total() > 0) == (transport == "tcp")
    assert said.facts["generations"] == 1


def test_a_datagram_that_a_full_buffer_drops_holds_no_restart_up(agent: Path) -> None:
    """The keeper asks again before long; `new` would last for 2 s otherwise."""
    drops = DNS.replace("{port}))\n", "{port})); began = time.monotonic()\n", 1).replace(
        "; udp.sendto(reply(q), who)",
        "\n        if time.monotonic() > began + 0.4: udp.sendto(reply(q), who)",
    )
    server = drops.replace("import socket,", "import time, socket,")
    start = f"exec {sys.executable} server.py udp"
    way = ("write", "signal KILL main", "gone main", "start", "main second", "new")
    plan = Plan(start, way, files={"server.py": server}, protocol="dns-udp")
    said = answered(agent, plan, "rounds=2", "flows=400")
    assert 400 <= said.facts["rehearsal"] < 1500
    assert said.fates("restarts")["timeout"] > 0


def own(how: str) -> Plan:
    start = f"exec {{agent}} serve port={{port}} workers={{workers}} how={how} slow=0"
    return Plan(start, files={"generation": "{generation}"})


@pytest.mark.parametrize("how", ["inherit", "reuseport", "pass"])
def test_the_agents_own_server_can_be_restarted(agent: Path, how: str) -> None:
    said = answered(agent, own(how), "flows=6000")
    assert said.facts["restarts"] == 3
    assert said.facts.keys().isdisjoint(TROUBLE)
    fates = said.fates("restarts")
    assert {2, 3, 4} <= fates.keys() <= {0, 1, 2, 3, 4, "ECONNRESET"}
    if how != "reuseport":
        assert fates["ECONNRESET"] == 0
        assert {*said.fates("kept")} == {4}


def test_the_agents_own_server_can_be_slow(agent: Path) -> None:
    """Two workers that take 5 ms for each answer serve 400 connections a second at most."""
    plan = replace(own("inherit"), head=["once"], start=own("inherit").start[:-1] + "5")
    said = answered(agent, plan, "flows=400", "traffic=heavy")
    assert 100 < said.facts["capacity"] <= 400
    (flows,) = [line for line in said.events("flows") if line["phase"] == "restarts"]
    assert sorted(flows["took"])[len(flows["took"]) // 2] >= 5
    assert said.fates("restarts").keys() <= {0, 1, 2, 3, 4}


def test_a_worker_of_the_agents_own_server_is_replaced(agent: Path) -> None:
    plan = replace(own("inherit"), way=["signal KILL worker", "gone worker", "new"])
    said = answered(agent, plan, "flows=2000")
    assert said.facts["restarts"] == 3
    assert "failed" not in said.facts


def test_the_agents_own_server_takes_no_port_of_another(agent: Path) -> None:
    start = own("inherit").start
    said = answered(agent, replace(own("inherit"), start=f"{start} & {start[5:]}; exit 1"))
    assert said.start in {(None, None), ("bind", "EADDRINUSE")}
    for words in (["port=0"], ["port=1", "workers=65"], ["port=1", "how=else"]):
        done = subprocess.run([agent, "serve", *words], capture_output=True, timeout=20)
        assert done.returncode == 64
