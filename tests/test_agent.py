"""The agent is built once, put where it can run, vouched for, and taken away again."""

import os
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from fakes import heard

from harness.agent import NATIVE, Builder, Program, Question, binary, build, host_target
from harness.agent.guest_cc import COMPILE
from harness.agent.installed import PREPARE, installed
from harness.errors import AgentError, CommandTimeoutError, Phase
from harness.machine.places import Places
from harness.model import AgentSource, Guest
from harness.model.guest import Host
from harness.protocols import NO_ROOT, Completed, Sink
from harness.transport import LocalTransport
from harness.transport.shell import CAP, login_command

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")

SOURCE = """
#include "answer.h"
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) {
    char line[4096];
    if (argc < 2 || strcmp(argv[1], "batch") != 0) return ANSWER;
    printf("%s\\n", argv[2]);
    while (fgets(line, sizeof line, stdin)) fputs(line, stdout);
    return 0;
}
"""


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "main.c").write_text(SOURCE)
    (sources / "answer.h").write_text("#define ANSWER 77\n")
    return Builder(Places(tmp_path / "cache", tmp_path / "state"), sources)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Stand in for /tmp and /var/tmp; nothing may be left in them."""
    made = (str(tmp_path / "first"), str(tmp_path / "second"))
    for folder in made:
        Path(folder).mkdir()
    monkeypatch.setattr("harness.transport.local.TEMPORARY", made)
    yield made
    assert [path for folder in made for path in Path(folder).iterdir()] == []


def guest(source: AgentSource) -> Guest:
    return Guest("host", "host", source, host=Host())


def script(body: str) -> Program:
    return Program(b"#!/bin/sh\n" + body.encode(), "a script")


def vouch(program: Program) -> AgentError:
    with installed(LocalTransport(), program, "none") as agent, pytest.raises(AgentError) as caught:
        agent.vouch()
    assert caught.value.phase is Phase.VOUCH
    return caught.value


@needs_cc
def test_an_agent_is_built_installed_vouched_for_and_asked(builder: Builder) -> None:
    with builder.installed(guest(AgentSource(target=NATIVE)), LocalTransport()) as agent:
        agent.vouch()
        said = heard(agent, Question("c1", "sharing", {"case": "both"}), timeout=10, jobs=3)
        assert said == b"jobs=3\nc1 sharing case=both\n"
        assert agent.provenance["agent_sha256"] == agent.program.sha256
        assert "native" in agent.provenance["agent"]


@needs_cc
def test_sources_that_do_not_compile_here_say_why(builder: Builder, tmp_path: Path) -> None:
    (tmp_path / "sources" / "main.c").write_text("int main(void) { return nonsense; }\n")
    with pytest.raises(AgentError, match="nonsense") as caught:
        builder.build(NATIVE)
    assert caught.value.phase is Phase.BUILD
    kept = [path.name for path in (tmp_path / "cache" / "agents").iterdir()]
    assert all(name.endswith(".lock") for name in kept)


def compiler(folder: Path, log: Path) -> None:
    """Put a `cc` into a folder that notes each call and takes its time."""
    folder.mkdir()
    cc = folder / "cc"
    cc.write_text(f'#!/bin/sh\necho built >> {log}\nsleep 0.3\nexec {shutil.which("cc")} "$@"\n')
    cc.chmod(0o755)


@needs_cc
def test_builds_at_the_same_time_meet_in_one(
    builder: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    compiler(tmp_path / "bin", log)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda: made.append(builder.build(NATIVE).sha256)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.read_text() == "built\n"
    assert len(made) == 4
    assert len(set(made)) == 1


@needs_cc
@pytest.mark.parametrize("damage", ["short", "empty", "changed", "pipe"])
def test_an_agent_that_changed_in_the_cache_is_built_anew(
    builder: Builder, tmp_path: Path, damage: str
) -> None:
    first = builder.build(NATIVE)
    (kept,) = (tmp_path / "cache" / "agents").glob(f"agent-{NATIVE}-*[!k]")
    content = kept.read_bytes()
    if damage == "pipe":
        kept.unlink()
        os.mkfifo(kept)
    else:
        kept.write_bytes({"short": content[:99], "empty": b"", "changed": content + b"!"}[damage])
    assert builder.build(NATIVE).sha256 == first.sha256


CACHED_CC = """#!/bin/sh
[ -e "$ZIG_GLOBAL_CACHE_DIR/damaged" ] && { echo 'bad object' >&2; exit 1; }
mkdir -p "$ZIG_GLOBAL_CACHE_DIR" && touch "$ZIG_GLOBAL_CACHE_DIR/used"
exec cc "$@"
"""


@needs_cc
@pytest.mark.parametrize("sources", ["good", "bad"])
def test_a_damaged_cache_of_the_compiler_does_not_fail_every_build(
    builder: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: str
) -> None:
    script = tmp_path / "cached-cc"
    script.write_text(CACHED_CC)
    script.chmod(0o755)
    monkeypatch.setattr(build, "_compiler", lambda _: (str(script), *build.FLAGS))
    damaged = tmp_path / "cache" / "zig" / "global" / "damaged"
    damaged.parent.mkdir(parents=True)
    damaged.touch()
    if sources == "good":
        assert builder.build(NATIVE).content
        assert not damaged.exists()
        return
    (tmp_path / "sources" / "main.c").write_text("int main(void) { return nonsense; }\n")
    with pytest.raises(AgentError, match="nonsense"):
        builder.build(NATIVE)
    assert damaged.exists()  # the cache was not the only reason


@needs_cc
def test_a_changed_header_is_built_anew(builder: Builder, tmp_path: Path) -> None:
    first = builder.build(NATIVE)
    (tmp_path / "sources" / "answer.h").write_text("#define ANSWER 78\n")
    assert builder.build(NATIVE).sha256 != first.sha256


def test_missing_sources_are_said_so(tmp_path: Path) -> None:
    builder = Builder(Places(tmp_path, tmp_path), tmp_path / "nowhere")
    with pytest.raises(AgentError, match="sources are not in"):
        builder.build(NATIVE)


def test_a_given_binary_is_taken_as_it_is(builder: Builder, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_bytes(b"#!/bin/sh\nexit 77\n")
    with builder.installed(guest(AgentSource(path=str(own))), LocalTransport()) as agent:
        agent.vouch()
        assert agent.program.content == own.read_bytes()
        assert agent.provenance["agent"] == str(own)


def test_a_given_binary_that_is_missing_is_said_so(builder: Builder, tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="cannot be read"):
        builder.program(AgentSource(path=str(tmp_path / "none")))


@pytest.mark.parametrize("status", [0, 1, 64, 99, 126, 127])
def test_whoever_answers_the_canary_is_not_believed(status: int) -> None:
    error = vouch(script(f"echo oops >&2; exit {status}\n"))
    assert f"status {status}" in str(error)
    assert "oops" in str(error)


def test_the_canary_is_another_one_each_time(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    with installed(LocalTransport(), script(f"echo $1 >> {seen}; exit 77\n"), "none") as agent:
        agent.vouch()
        agent.vouch()
    assert len(set(seen.read_text().split())) == 2


def test_an_agent_that_fails_keeps_what_it_said() -> None:
    program = script("echo said; echo torn >&2; exit 99\n")
    said = bytearray()
    with (
        installed(LocalTransport(), program, "none") as agent,
        pytest.raises(AgentError, match="status 99: torn"),
    ):
        agent.ask([Question("c", "facts")], timeout=10, into=said.extend)
    assert said == b"said\n"


def test_an_agent_that_floods_is_an_error() -> None:
    said = bytearray()
    with (
        installed(LocalTransport(), script("yes | head -c 9000000\n"), "none") as agent,
        pytest.raises(AgentError, match="more than is read"),
    ):
        agent.ask([Question("c", "facts")], timeout=30, into=said.extend)
    assert said == b"y\n" * (CAP // 2)


def test_an_agent_that_hangs_is_ended_by_the_timeout() -> None:
    said = bytearray()
    with (
        installed(LocalTransport(), script("echo said; exec sleep 60\n"), "none") as agent,
        pytest.raises(CommandTimeoutError),
    ):
        agent.ask([Question("c", "facts")], timeout=0.5, into=said.extend)
    assert said == b"said\n"


def test_a_program_for_another_system_is_not_run(builder: Builder) -> None:
    elf = elf_header(machine=183, system=9)
    with (
        pytest.raises(AgentError, match="for FreeBSD aarch64") as caught,
        installed(LocalTransport(), Program(elf, "x"), "none"),
    ):
        pass
    assert caught.value.phase is Phase.PUSH


def elf_header(machine: int, system: int) -> bytes:
    start = b"\x7fELF" + bytes([2, 1, 1, system]) + bytes(10)
    return start + machine.to_bytes(2, "little") + bytes(44)


class Noexec:
    """A guest whose first folder is mounted noexec, or who lies about where the folder is."""

    provenance: dict[str, str] = {}  # noqa: RUF012 - the protocol's property
    server_root = NO_ROOT

    def __init__(self, said: bytes, folders: Sequence[str] = ("/tmp", "/var/tmp")) -> None:
        self.said = said
        self._folders = folders
        self.pushed: list[str] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        into: Sink | None = None,
        **limits: float | None,
    ) -> Completed:
        return Completed(0, self.said, b"")

    @property
    def folders(self) -> Sequence[str]:
        return self._folders

    def push(self, content: bytes, path: str, *, executable: bool = False, timeout: float) -> None:
        self.pushed.append(path)

    def close(self) -> None:
        pass


def test_the_second_folder_is_taken_where_the_first_is_noexec(folders: tuple[str, str]) -> None:
    transport = Noexec(f"{folders[1]}\nLinux x86_64\n".encode(), folders)
    with installed(transport, script(""), "none") as agent:
        assert agent.path.startswith(f"{folders[1]}/reuseport-agent-")
    assert transport.pushed == [agent.path]


def test_a_folder_of_the_guests_own_choice_is_not_used() -> None:
    with (
        pytest.raises(AgentError, match="no program can be put"),
        installed(Noexec(b"/etc\nLinux x86_64\n"), script(""), "none"),
    ):
        pass


def test_a_real_noexec_mount_is_noticed(folders: tuple[str, str]) -> None:
    """The script that looks for a folder, run where the first one is mounted noexec."""
    mounted = 'mount -t tmpfs -o noexec none "$0" && exec "$@"'
    argv = ["unshare", "--mount", "sh", "-c", mounted, folders[0]]
    if LocalTransport().run([*argv, "true"], timeout=10).status != 0:
        pytest.skip("mount namespaces are not allowed here")
    looking = ["sh", "-c", PREPARE, "name", *folders]
    done = LocalTransport().run([*argv, *looking], timeout=10)
    assert done.stdout.decode().splitlines()[0] == folders[1]
    (Path(folders[1]) / "name").rmdir()


@pytest.mark.parametrize("text", [PREPARE, COMPILE])
def test_the_first_contact_asks_nothing_special_of_a_login_shell(text: str) -> None:
    assert login_command(["sh", "-c", text, "name", "/tmp"]).startswith("sh -c 'sh -c ")


def test_this_machine_has_a_target() -> None:
    target = host_target()
    assert target == NATIVE or "-" in target
    if sys.platform == "linux" and target != NATIVE:
        assert target.endswith("-linux-musl")


@pytest.mark.vm
@pytest.mark.parametrize(
    "target", ["x86_64-linux-musl", "aarch64-linux-musl", "x86_64-freebsd", "x86_64-netbsd"]
)
def test_the_real_agent_builds_for(target: str) -> None:
    program = Builder(Places.of_user()).build(target)
    made_for = binary.of_program(program.content)
    assert made_for is not None
    assert made_for.machine == target.partition("-")[0]
    assert (made_for.system or "linux").lower() in target


@pytest.mark.vm
def test_the_real_agent_runs_here() -> None:
    builder = Builder(Places.of_user())
    with builder.installed(guest(AgentSource(target="host")), LocalTransport()) as agent:
        agent.vouch()
        assert b'"event":"end"' in heard(agent, Question("f", "facts"), timeout=20)
