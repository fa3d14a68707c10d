"""As whom the agent runs: root where the guest lets it, and otherwise it is said why not."""

import logging
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import heard
from test_agent import script

from harness.agent import Builder, Program, Question
from harness.agent.installed import Agent, installed
from harness.agent.user import User, become
from harness.machine.places import Places
from harness.model import AgentSource, Guest, Root
from harness.model.guest import Host
from harness.transport import LocalTransport

ECHO = 'echo "$@"; cat; exit 0\n'


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of commands that come first in the guest, where `tester` logged in."""
    monkeypatch.setattr("harness.transport.local.TEMPORARY", [str(tmp_path)])
    folder = tmp_path / "bin"
    folder.mkdir()
    put(folder, "id", '[ "$AS" = root ] && id=0 || id=1000; [ $1 = -un ] && id=tester; echo $id')
    yield folder
    assert [path.name for path in tmp_path.glob("reuseport-agent-*")] == []


def put(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def transport(tools: Path) -> LocalTransport:
    return LocalTransport(["env", f"PATH={tools}:/usr/bin:/bin"])


def user(tools: Path, root: Root, program: Program | None = None) -> User:
    with installed(transport(tools), program or script("exit 77\n"), root) as agent:
        agent.vouch()
        return agent.user


WORKING: dict[Root, str] = {
    "sudo": '[ "$1" = -n ] && shift && AS=root exec "$@"',
    "doas": '[ "$1" = -n ] && shift && AS=root exec "$@"',
    "su": '[ "$1 $2" = "root -c" ] && AS=root exec sh -c "$3"',
}


@pytest.mark.parametrize("root", WORKING)
def test_root_is_reached_without_a_password(tools: Path, root: Root) -> None:
    put(tools, root, WORKING[root])
    found = user(tools, root)
    assert (found.way, found.why) == (root, None)
    assert found.provenance == {"user": "tester", "uid": "1000", "root": f"yes, by {root}"}


@pytest.mark.parametrize("root", WORKING)
def test_the_questions_reach_the_agent_through_it(tools: Path, root: Root) -> None:
    put(tools, root, WORKING[root])
    with installed(transport(tools), script(ECHO), root) as agent:
        said = heard(agent, Question("c", "facts"), timeout=10)
    assert said == b"batch jobs=1\nc facts\n"


REFUSING: list[tuple[Root, str, str]] = [
    ("sudo", "echo 'sudo: a password is required' >&2; exit 1", "sudo asks for a password"),
    ("sudo", "echo 'sudo: sorry, you must have a tty' >&2; exit 1", "sudo: sorry, you must"),
    ("doas", "echo 'doas: Authentication required' >&2; exit 1", "doas asks for a password"),
    ("doas", "echo 'doas: Operation not permitted' >&2; exit 1", "doas: Operation not permitted"),
    ("su", "printf 'Password: ' >&2; read x || echo 'su: Sorry' >&2; exit 1", "su asks for a pass"),
    ("su", "echo 'su: not in the correct group' >&2; exit 1", "su: not in the correct group"),
    ("su", 'echo hello; AS=root exec sh -c "$3"', "a start-up file of root's shell prints"),
    ("sudo", "exit 3", "sudo: status 3"),
    ("sudo", 'shift; exec "$@"', "sudo: status 0"),
    ("sudo", r"printf '\033[2Jx\n' >&2; exit 1", r"sudo: \x1b[2Jx"),
]


@pytest.mark.parametrize(("root", "body", "why"), REFUSING)
def test_a_refusal_is_said_in_its_own_words_and_the_agent_runs_all_the_same(
    tools: Path, root: Root, body: str, why: str
) -> None:
    put(tools, root, body)
    found = user(tools, root)
    assert found.way == "none"
    assert (found.why or "").startswith(why)
    assert found.provenance["root"].startswith(f"no: {why}")


def test_what_is_not_installed_is_said_so(tools: Path) -> None:
    put(tools, "sudo", "echo 'sh: sudo: not found' >&2; exit 127")
    assert user(tools, "sudo").why == "sudo is not installed in the guest"


def test_what_does_not_answer_is_given_up(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.clocks.BECOME", 0.3)
    put(tools, "sudo", "exec sleep 60")
    began = time.monotonic()
    assert user(tools, "sudo").why == "sudo does not answer"
    assert time.monotonic() - began < 5


def test_who_is_root_needs_no_way(tools: Path) -> None:
    put(tools, "id", "[ $1 = -un ] && echo root || echo 0")
    put(tools, "sudo", "exit 1")
    found = user(tools, "sudo")
    assert found.provenance == {"user": "root", "uid": "0", "root": "yes"}


def test_a_guest_without_id_is_asked_nothing_more(tools: Path) -> None:
    put(tools, "id", "exit 127")
    assert user(tools, "none").provenance == {"root": "unknown"}


@pytest.mark.parametrize(
    ("root", "remedy"), [("none", "`root` to `sudo`"), ("sudo", "tester ALL=(root) NOPASSWD: ALL")]
)
def test_what_is_left_out_is_told_once_with_what_to_do(
    tools: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, root: Root, remedy: str
) -> None:
    put(tools, "sudo", "echo 'sudo: a password is required' >&2; exit 1")
    (tmp_path / "own").write_bytes(b"#!/bin/sh\nexit 77\n")
    source = AgentSource(path=str(tmp_path / "own"))
    guest = Guest("lab", "Linux", source, host=Host(), root=root)
    builder = Builder(Places(tmp_path / "cache", tmp_path / "state"))
    with builder.installed(guest, transport(tools)) as agent:
        assert isinstance(agent, Agent)
        agent.vouch()
    (record,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert record.getMessage().startswith("lab: cells that need root are left out: ")
    assert remedy in record.getMessage()


def test_su_is_given_one_word_that_any_shell_of_roots_reads() -> None:
    argv = become("su", ["/tmp/a b/agent", "batch", "it's"])
    assert argv[:3] == ["su", "root", "-c"]
    (command,) = argv[3:]
    assert shlex.split(command)[:2] == ["sh", "-c"]
