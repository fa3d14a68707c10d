"""The agent's C code: compiles without warnings for every system; here with sanitizers."""

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from sanitized_agent import SOURCES, STRICT, c_files, compiled, sanitized_agent, zig

from harness.agent import binary
from harness.deadline import Deadline
from harness.providers.host import isolated
from harness.scenarios import CATALOGUE, SCRIPTS
from harness.wire.replies import parse

TARGETS = (
    "x86_64-linux-musl",
    "aarch64-linux-musl",
    "x86_64-freebsd",
    "aarch64-freebsd",
    "x86_64-netbsd",
    "aarch64-netbsd",
    "x86_64-openbsd",
    "aarch64-openbsd",
    "x86_64-macos",
    "aarch64-macos",
)

SYSTEM = re.compile(
    r"__(linux__|linux|APPLE__|MACH__|unix__|sun)\b|\w*(BSD|DragonFly|_WIN)\w*|\bBSD\b"
)

QUICKLY = {"flows": "48", "listeners": "3", "deadline": "3000"}


@pytest.mark.vm
@pytest.mark.parametrize("target", TARGETS)
def test_the_agent_is_built_without_a_warning(target: str, tmp_path: Path) -> None:
    """The first time, Zig builds the target's libc, which takes up to a minute and a half."""
    static = ["-static"] if target.endswith("musl") else []
    made = tmp_path / "agent"
    compiled([*zig(target), *static, *STRICT, "-Os", "-s", "-o", str(made), *c_files()], tmp_path)
    platform = binary.Program(made.read_bytes(), "test", target).platform
    assert platform == binary.of_target(target)
    assert platform.machine == target.partition("-")[0]
    # A static Linux program has neither a loader nor a note; all other programs name their system.
    said = binary.of_program(made.read_bytes())
    assert said is not None
    assert (said.system is None) == ("linux" in target), said


@pytest.mark.vm
@pytest.mark.parametrize("target", ["x86_64-linux-musl", "x86_64-netbsd", "x86_64-macos"])
def test_each_header_is_compiled_with_only_what_it_includes(target: str, tmp_path: Path) -> None:
    for header in SOURCES.glob("*.h"):
        (tmp_path / f"{header.stem}.c").write_text(f'#include "{header.name}"\n')
    alone = sorted(map(str, tmp_path.glob("*.c")))
    compiled([*zig(target), *STRICT, f"-I{SOURCES}", "-c", *alone], tmp_path)


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sanitized_agent(tmp_path_factory.mktemp("sanitized"))


def words(scenario: str) -> list[str]:
    """Return a whole question: the first quick cell of a scenario, with few flows."""
    own = {
        "precedence": {"bind": "mixed", "position": "both"},
        "failure-established": {"joining": "in-turn"},
        "failure-handshake": {"peer": "tun"},
        "server-port": {"peer": "tun"},
        "datagrams": {"source": "one-sender"},
        "drain": {"flows": "450", "rounds": "3"},
    }
    asked = {**QUICKLY, **own.get(scenario, {}), "loopback": "up"}
    return [scenario, *(f"{key}={value}" for key, value in asked.items())]


@pytest.mark.vm
@pytest.mark.xdist_group("sanitized")
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("scenario", ["facts", *(name for name in CATALOGUE if name != "restart")])
def test_every_scenario_is_clean_under_sanitizers(
    scenario: str, protocol: str, sanitized: Path, tmp_path: Path
) -> None:
    if isolated(Deadline(10)) != "network namespace":
        pytest.skip("no network namespace can be had here (unshare -n)")
    log = tmp_path / "log"
    environment = {
        **os.environ,
        # Leaks do not matter: each question is its own process, and its memory ends with it.
        "ASAN_OPTIONS": f"log_path={log}:detect_leaks=0",
        "UBSAN_OPTIONS": f"log_path={log}:print_stacktrace=1",
    }
    done = subprocess.run(
        ["unshare", "-n", str(sanitized), "batch"],
        input=f"q {' '.join([*words(scenario), f'protocol={protocol}'])}\n".encode(),
        capture_output=True,
        timeout=100,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert [path.read_text() for path in tmp_path.glob("log*")] == []
    (reply,) = parse(done.stdout, SCRIPTS)
    assert reply.torn is None
    assert reply.observation is not None
    assert (reply.status, reply.signal) == (77 if reply.observation.unsupported else 0, 0)
    if protocol == ("udp" if scenario == "datagrams" else "tcp"):
        assert reply.observation.unsupported is None
    assert running(sanitized) == []


def running(program: Path) -> list[int]:
    """Return the processes that still run the program; a zombie does not."""
    found = []
    for process in psutil.process_iter():
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            found += [process.pid] if alive and process.exe() == str(program) else []
        except psutil.Error:
            continue
    return found


@pytest.mark.vm
@pytest.mark.xdist_group("sanitized")
def test_both_sides_know_the_same_scenarios(sanitized: Path) -> None:
    said = subprocess.run([sanitized, "scenarios"], capture_output=True, text=True, timeout=20)
    assert said.stdout.split() == ["facts", *CATALOGUE]


def test_each_scenario_is_a_function_of_its_own_name() -> None:
    table = dict(re.findall(r'^ +\{ "([a-z-]+)", +(\w+),', source("catalogue.c"), re.MULTILINE))
    assert table.keys() == {"facts", *CATALOGUE}
    for name, function in table.items():
        assert function == name.replace("-", "_")
        assert f"void {function}(struct trial *" in source("scenarios.h")
        defined = [
            path for path in SOURCES.glob("*.c") if f"\nvoid {function}(" in path.read_text()
        ]
        assert len(defined) == 1, name


def source(name: str) -> str:
    return (SOURCES / name).read_text()


def test_a_system_is_named_in_platform_only() -> None:
    for path in SOURCES.glob("*.[ch]"):
        if not path.stem.startswith("platform"):
            named = [line for line in conditions(path) if SYSTEM.search(line)]
            assert named == [], path.name


def conditions(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if re.match(r"\s*#\s*(el)?if", line)]


def test_the_pattern_knows_a_system_when_it_sees_one() -> None:
    found = [line for path in SOURCES.glob("platform*.[ch]") for line in conditions(path)]
    assert len([line for line in found if SYSTEM.search(line)]) >= 5


@pytest.mark.parametrize("path", sorted(SOURCES.glob("*.[ch]")), ids=lambda path: path.name)
def test_no_file_is_longer_than_can_be_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.vm
@pytest.mark.xdist_group("sanitized")
def test_a_newcomer_that_outlasts_the_stream_is_still_followed_by_one(sanitized: Path) -> None:
    """Four flows are over before it stands in one of eight: the flows `after` were then lost."""
    if isolated(Deadline(10)) != "network namespace":
        pytest.skip("no network namespace can be had here (unshare -n)")
    lines = "".join(f"q{i} takeover flows=4 listeners=2 loopback=up\n" for i in range(60))
    done = subprocess.run(
        ["unshare", "-n", str(sanitized), "batch"],
        input=lines.encode(),
        capture_output=True,
        timeout=100,
        check=True,
    )
    assert {reply.torn for reply in parse(done.stdout, SCRIPTS)} == {None}


@pytest.mark.vm
@pytest.mark.xdist_group("sanitized")
def test_a_question_that_its_alarm_ended_says_how_long_it_took(sanitized: Path) -> None:
    if isolated(Deadline(10)) != "network namespace":
        pytest.skip("no network namespace can be had here (unshare -n)")
    done = subprocess.run(
        ["unshare", "-n", str(sanitized), "batch"],
        input=b"q failure-hung deadline=25000 alarm=2 loopback=up\n",
        capture_output=True,
        timeout=60,
        check=True,
    )
    (reply,) = parse(done.stdout, SCRIPTS)
    assert (reply.signal, reply.observation) == (signal.SIGALRM, None)
    assert 2000 <= reply.took < 20_000


@pytest.mark.vm
@pytest.mark.xdist_group("sanitized")
@pytest.mark.parametrize("kind", ["socket", "pipe"])
def test_an_agent_whose_reader_is_gone_ends_with_all_its_questions(
    sanitized: Path, kind: str
) -> None:
    """An SSH server gives a pipe or a socket; the end of input alone does not mean a hang-up."""
    if isolated(Deadline(10)) != "network namespace":
        pytest.skip("no network namespace can be had here (unshare -n)")
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    output = theirs.fileno() if kind == "socket" else writer
    with subprocess.Popen(
        ["unshare", "-n", str(sanitized), "batch"], stdin=theirs.fileno(), stdout=output
    ) as agent:
        theirs.close()
        os.close(writer)
        ours.sendall(b"q failure-hung deadline=25000 alarm=50 loopback=up\n")
        ours.shutdown(socket.SHUT_WR)
        time.sleep(1.5)
        assert agent.poll() is None
        assert len(running(sanitized)) > 2
        os.close(reader)
        ours.close()
        assert agent.wait(5) == 99
    assert running(sanitized) == []
