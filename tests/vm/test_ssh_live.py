"""The `ssh` provider against OpenSSH: this kernel is measured through it, and nothing stays."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import sshd
from fakes import heard
from live_command import Here
from msgspec.structs import replace
from provider_contract import HOSTILE, ProviderContract, TransportContract
from sshd import UID, USER, Sshd, existing, machine

from harness.agent import Builder, Question
from harness.agent.installed import installed
from harness.deadline import Deadline
from harness.errors import BootError
from harness.machine.places import Places
from harness.model import AgentSource, Guest
from harness.model.guest import Remote
from harness.protocols import Transport
from harness.providers.ssh import ExistingMachine
from harness.scenarios import SCRIPTS
from harness.wire.replies import parse

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("ssh")]

LOGIN_SHELLS = ("bash", "bsd-csh", "tcsh", "fish", "zsh", "mksh", "busybox")

FILE = """\
name: lab
system: Linux
agent: {{target: host}}
ssh: {{host: 127.0.0.1, port: {port}, user: {user}, key: {key}, host_key: {host_key}}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd.serving(tmp_path_factory.mktemp("sshd")) as made:
        yield made


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A separate server, because commands that took too long go on in it."""
    with sshd.serving(tmp_path_factory.mktemp("busy")) as made:
        yield made


class TestTransport(TransportContract):
    """Commands through OpenSSH's server, as an ordinary user."""

    def test_several_threads_run_at_once(self, transport: Transport) -> None:
        """Skip: the guests' suite runs the same test against dropbear.

        A run asks each guest from one thread. It is not known yet what breaks here: paramiko or the
        harness.
        """
        pytest.skip("OpenSSH's server lost a connection in it once (1 of 2 runs of 2026-11-23)")

    @pytest.fixture
    def transport(self, busy: Sshd, tmp_path: Path) -> Iterator[Transport]:
        with existing(tmp_path).boot(machine(busy), Deadline(30)) as made:
            yield made

    @pytest.fixture
    def folder(self, transport: Transport) -> str:
        return transport.folders[0]


class TestProvider(ProviderContract):
    """A machine that is already up."""

    @pytest.fixture
    def provider(self, tmp_path: Path) -> ExistingMachine:
        return existing(tmp_path)

    @pytest.fixture
    def guest(self, server: Sshd) -> Guest:
        return machine(server)

    @pytest.fixture
    def left(self, server: Sshd) -> Callable[[], Sequence[str]]:
        return server.until_left_alone


@pytest.mark.parametrize("name", LOGIN_SHELLS)
def test_any_login_shell_hands_everything_on(name: str, tmp_path: Path) -> None:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"no {name} here")
    setup = "ln -s $(command -v busybox) /run/ash" if name == "busybox" else ""
    shell = "/run/ash" if name == "busybox" else program
    with (
        sshd.serving(tmp_path, shell=shell, setup=setup) as server,
        existing(tmp_path).boot(machine(server), Deadline(30)) as transport,
    ):
        done = transport.run(["printf", "%s\\0", *HOSTILE], timeout=20)
        assert done.stdout.decode().split("\0")[:-1] == list(HOSTILE)
        for status in (0, 1, 77, 127, 137, 255):
            assert transport.run(["sh", "-c", f"exit {status}"], timeout=20).status == status
        assert transport.run(["no-such-command"], timeout=20).status == 127
        content = os.urandom(1 << 20)
        path = f"{transport.folders[0]}/it's 100% !"
        transport.push(content, path, timeout=20)
        said = bytearray()
        transport.run(["cat", path], timeout=20, into=said.extend)
        assert said == content
        program_of_ours = Builder(Places.of_user()).program(AgentSource(target="host"))
        with installed(transport, program_of_ours, "none") as agent:
            agent.vouch()
            assert agent.provenance["uid"] == str(UID)
            assert agent.provenance["user"] == USER


def test_the_agent_is_compiled_in_the_guest_by_its_own_compiler_once(
    server: Sshd, tmp_path: Path
) -> None:
    """As on DragonFly, only sh, tar and cc are available; the next run needs no cc."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler here")
    guest = replace(machine(server), agent=AgentSource(build="guest-cc"))
    builder = Builder(Places(tmp_path / "cache", tmp_path / "state"))
    made, seconds = [], []
    for _ in range(2):
        began = time.monotonic()
        with (
            existing(tmp_path).boot(guest, Deadline(30)) as transport,
            builder.installed(guest, transport) as agent,
        ):
            agent.vouch()
            seconds.append(time.monotonic() - began)
            question = Question("q", "distribution", {"flows": "48"})
            (reply,) = parse(heard(agent, question, timeout=60), SCRIPTS)
            assert reply.torn is None
            assert reply.status == 0
            made.append(agent.provenance)
        assert server.until_left_alone() == []
    assert made[0]["agent"] == "compiled in the guest"
    assert re.fullmatch(r"compiled in lab \(.+\) on 20\d\d-\d\d-\d\d", made[1]["agent"])
    assert made[0]["agent_sha256"] == made[1]["agent_sha256"]
    assert seconds[1] < seconds[0] / 2


def test_a_wrong_key_and_another_host_key_are_refused(server: Sshd, tmp_path: Path) -> None:
    sshd.write_key(tmp_path / "wrong")
    wrong = Remote(port=server.port, user=USER, key=str(tmp_path / "wrong"))
    guest = Guest("lab", "Linux", AgentSource(target="host"), ssh=wrong)
    with pytest.raises(BootError, match="was refused"):
        existing(tmp_path).boot(guest, Deadline(30)).__enter__()
    other = sshd.write_key(tmp_path / "other")
    known = f"[127.0.0.1]:{server.port} {other.get_name()} {other.get_base64()}\n"
    (tmp_path / "known_hosts").write_text(known)
    wrong = Remote(port=server.port, user=USER, key=str(server.key))
    guest = Guest("lab", "Linux", AgentSource(target="host"), ssh=wrong)
    with pytest.raises(BootError, match="not the pinned") as caught:
        existing(tmp_path).boot(guest, Deadline(30)).__enter__()
    assert "ssh-keygen -R" in str(caught.value.hint)
    assert (tmp_path / "known_hosts").read_text() == known


@pytest.fixture
def here(server: Sshd, tmp_path: Path) -> Here:
    """A place to run commands, with a guest file for the server and an empty home."""
    folder = tmp_path / "guests"
    folder.mkdir()
    (tmp_path / "home").mkdir()
    key = f"{server.host_key.get_name()} {server.host_key.get_base64()}"
    for user in (USER, "root"):
        text = FILE.format(port=server.port, user=user, key=server.key, host_key=f'"{key}"')
        (folder / f"{user}.yaml").write_text(text.replace("name: lab", f"name: lab-{user}"))
    caches = {
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path("~/.cache").expanduser()))
    }
    return Here(tmp_path, {**caches, "HOME": str(tmp_path / "home")})


def test_this_kernel_is_measured_as_an_ordinary_user(here: Here, server: Sshd) -> None:
    ended = here("run", f"lab-{USER}", "--guests", "guests", "--quick", "--out", "run")
    assert ended.status == 0, ended.err
    matrix = here.matrix()
    counts = {str(state): 0 for state in ("measured", "not-applicable")}
    rooted = []
    for cell in matrix.cells:
        assert cell.state in counts, (cell, ended.err)
        counts[cell.state] += 1
        rooted += [cell] if (cell.why or "").startswith("needs root: ") else []
    assert counts["measured"] > 40
    assert {cell.axes["case"] for cell in rooted if cell.scenario == "sharing"} == {
        "other-uid",
        "root-over-user",
    }
    assert {cell.scenario for cell in rooted} >= {"failure-handshake", "server-port"}
    made = matrix.guests[f"lab-{USER}"]["provenance"]
    assert isinstance(made, dict)
    assert (made["user"], made["uid"]) == (USER, str(UID))
    assert made["root"].startswith("no: ")
    assert ended.err.count("cells that need root are left out") == 1
    assert server.until_left_alone() == []
    assert list((here.folder / "home").rglob("*")) == []
    assert server.process.poll() is None


def test_as_root_the_same_cells_are_measured(here: Here, server: Sshd) -> None:
    words = ("--guests", "guests", "--quick", "--scenario", "sharing", "--out", "run")
    ended = here("run", "lab-root", *words)
    assert ended.status == 0, ended.err
    matrix = here.matrix()
    cells = [cell for cell in matrix.cells if cell.axes["case"] in ("other-uid", "root-over-user")]
    assert {cell.state for cell in cells} == {"measured"}
    assert "need root" not in ended.err
    assert server.until_left_alone() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_leaves_nothing_there(
    here: Here, server: Sshd, number: signal.Signals
) -> None:
    words = ("--guests", "guests", "--quick", "--out", "run")
    with here.start("run", f"lab-{USER}", *words) as live:
        live.until_said(": scenario ")
        assert len(server.left()) > 2
        live.process.send_signal(number)
        live.process.wait(30)
    assert server.until_left_alone() == []
