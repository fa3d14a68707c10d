"""Accounts of OpenSSH's server that print, that cannot be used, or that get few sessions."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import sshd
from sshd import UID, USER, existing, machine

from harness import clocks
from harness.agent import Builder
from harness.agent.installed import installed
from harness.deadline import Deadline
from harness.errors import InfrastructureError
from harness.machine.places import Places
from harness.model import AgentSource

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("ssh")]

HOME = f"/home/{USER}"

NOISE = r"""
echo hello; printf '\033[2Jbegin-' ; echo complaint >&2; yes noise | head -c 300000
yes noise | head -c 300000 >&2
"""

TRAP = "trap 'ssh-agent -k; echo Agent pid 4 killed' EXIT"

START_UP: Mapping[str, tuple[str, str, str]] = {
    "bash": ("bash", ".bashrc", NOISE),
    "bash-trap": ("bash", ".bashrc", f"echo hello\n{TRAP}\n"),
    "bash-x": ("bash", ".bashrc", "set -xv\n"),
    "zsh": ("zsh", ".zshenv", NOISE),
    "zsh-trap": ("zsh", ".zshenv", f"echo hello\n{TRAP}\n"),
    "tcsh": ("tcsh", ".cshrc", "echo hello\nset echo verbose\n"),
    "fish": ("fish", ".config/fish/config.fish", "echo hello\n"),
    "ssh-rc": ("sh", ".ssh/rc", "echo hello; echo complaint >&2\n"),
}
"""The login shell, a file that it reads before each command, and what that file does."""


def write(path: str, text: str) -> str:
    """Return the setup that writes a file of the account."""
    lines = f"mkdir -p $(dirname {HOME}/{path})\ncat > {HOME}/{path} << 'END'\n{text}\nEND\n"
    return f"{lines}chown -R {UID}:{UID} {HOME}\n"


@pytest.mark.parametrize("case", START_UP)
def test_what_start_up_files_print_is_not_taken_for_an_answer(case: str, tmp_path: Path) -> None:
    shell, path, text = START_UP[case]
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    with (
        sshd.serving(tmp_path, shell=program, setup=write(path, text)) as server,
        existing(tmp_path).boot(machine(server), Deadline(30)) as transport,
    ):
        done = transport.run(["sh", "-c", "echo out; echo err >&2; exit 7"], timeout=20)
        assert (done.status, done.stdout) == (7, b"out\n")
        assert done.stderr.startswith(b"err\n")
        content = b"begin-\nend-\nno newline at the end"
        assert transport.run(["cat"], stdin=content, timeout=20).stdout == content
        program_of_ours = Builder(Places.of_user()).program(AgentSource(target="host"))
        with installed(transport, program_of_ours, "none") as agent:
            agent.vouch()
            assert agent.provenance["user"] == USER
    assert server.until_left_alone() is not None


FORCED = "sed -i 's|^|command=\"{command}\" |' /run/sshd/authorized_keys"

UNUSABLE: Mapping[str, tuple[str, str, str, str]] = {
    "nologin": ("/usr/sbin/nologin", "", "not available", "chsh -s /bin/sh tester"),
    "false": ("/bin/false", "", "answers nothing", "does `ssh -p"),
    "forced": ("/bin/sh", FORCED.format(command="echo menu"), "'menu'", "authorized_keys"),
    "forced-echo": (
        "/bin/sh",
        FORCED.format(command="echo refused: $SSH_ORIGINAL_COMMAND"),
        "refused: sh -c",
        "ForceCommand",
    ),
    "forced-silent": ("/bin/sh", FORCED.format(command="cat"), "does not end", "authorized_keys"),
    "sftp": (
        "/bin/sh",
        "echo ForceCommand internal-sftp >> /run/sshd/config",
        "cannot run `sh`",
        "ForceCommand",
    ),
    "exit": ("/bin/bash", write(".bashrc", "exit 3"), "ends with status 3", "start-up file"),
    "input": ("/bin/bash", write(".bashrc", "read answer"), "does not end", "reads its input"),
    "restricted": (
        "/bin/rbash",
        write(".bashrc", "PATH=$HOME/bin"),
        "command not found",
        "chsh -s /bin/sh tester",
    ),
}
"""The login shell, the rest of the setup, what the message says, and what its hint says."""


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_account_that_cannot_be_used_is_named(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, setup, said, advice = UNUSABLE[case]
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    monkeypatch.setattr(clocks, "SESSION", 4.0)
    with (
        sshd.serving(tmp_path, shell=shell, setup=setup) as server,
        pytest.raises(InfrastructureError) as caught,
        existing(tmp_path).boot(machine(server), Deadline(30)),
    ):
        pass
    assert f"{USER} can log in at 127.0.0.1 port {server.port}, but cannot run" in str(caught.value)
    assert said in str(caught.value)
    assert advice in str(caught.value.hint)


@pytest.mark.parametrize("sessions", [1, 2, 3])
def test_few_sessions_are_enough(sessions: int, tmp_path: Path) -> None:
    setup = f"echo MaxSessions {sessions} >> /run/sshd/config"
    with sshd.serving(tmp_path, setup=setup) as server:
        with existing(tmp_path).boot(machine(server), Deadline(30)) as transport:
            for number in range(20):
                done = transport.run(["echo", str(number)], timeout=20)
                assert done.stdout == f"{number}\n".encode()
            transport.push(b"x" * 100_000, f"{transport.folders[0]}/file", timeout=20)
        assert server.until_left_alone() == []


def test_no_session_at_all_says_what_to_raise(tmp_path: Path) -> None:
    with (
        sshd.serving(tmp_path, setup="echo MaxSessions 0 >> /run/sshd/config") as server,
        pytest.raises(InfrastructureError, match="refuses one more session") as caught,
        existing(tmp_path).boot(machine(server), Deadline(30)),
    ):
        pass
    assert "MaxSessions" in str(caught.value.hint)
