"""Really becoming root: sudo, doas and su over OpenSSH, on a machine with its own /etc."""

import shutil
import time
from pathlib import Path

import pytest
import sshd
from fakes import heard
from msgspec import Struct
from sshd import UID, USER, existing, machine

from harness.agent import Builder, Question
from harness.agent.installed import installed
from harness.deadline import Deadline
from harness.machine.places import Places
from harness.model import AgentSource, Root
from harness.scenarios import SCRIPTS
from harness.wire.replies import parse

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("root")]

EMPTY_PASSWORD = "sed -i 's/^root:[^:]*:/root::/' /etc/shadow"
REAL_PASSWORD = "sed -i 's/^root:[^:]*:/root:$6$saltsalt$none:/' /etc/shadow"


class Way(Struct, frozen=True):
    """How a machine lets its users become root; `why` is the reason shown if it does not."""

    root: Root
    files: dict[str, str] = {}
    setup: str = ""
    why: str | None = None


WAYS = {
    "sudo": Way("sudo", {"sudoers": f"{USER} ALL=(root) NOPASSWD: ALL\n"}),
    "sudo-pty": Way("sudo", {"sudoers": f"Defaults use_pty\n{USER} ALL=(root) NOPASSWD: ALL\n"}),
    "sudo-asks": Way(
        "sudo", {"sudoers": f"{USER} ALL=(root) ALL\n"}, why="sudo asks for a password"
    ),
    "sudo-unknown": Way("sudo", {"sudoers": "root ALL=(root) ALL\n"}, why="sudo"),
    "sudo-tty": Way(
        "sudo",
        {"sudoers": f"Defaults requiretty\n{USER} ALL=(root) NOPASSWD: ALL\n"},
        why="sudo: sorry, you must have a tty",
    ),
    "doas": Way("doas", {"doas.conf": f"permit nopass {USER} as root\n"}),
    "doas-asks": Way(
        "doas", {"doas.conf": f"permit {USER} as root\n"}, why="doas asks for a password"
    ),
    "doas-unknown": Way("doas", {"doas.conf": "permit nopass root\n"}, why="doas"),
    "su": Way("su", setup=EMPTY_PASSWORD),
    "su-csh": Way(
        "su", setup=f"{EMPTY_PASSWORD}; sed -i '/^root:/s#[^:]*$#/bin/tcsh#' /etc/passwd"
    ),
    "su-asks": Way("su", setup=REAL_PASSWORD, why="su asks for a password"),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_user_becomes_root_or_it_is_said_why_not(name: str, tmp_path: Path) -> None:
    way = WAYS[name]
    if shutil.which(way.root) is None or (name == "su-csh" and shutil.which("tcsh") is None):
        pytest.skip(f"no {'tcsh' if name == 'su-csh' else way.root} here")
    program = Builder(Places.of_user()).program(AgentSource(target="host"))
    with sshd.serving(tmp_path, way.files, setup=way.setup) as server:
        began = time.monotonic()
        with (
            existing(tmp_path).boot(machine(server), Deadline(30)) as transport,
            installed(transport, program, way.root) as agent,
        ):
            assert time.monotonic() - began < 15
            agent.vouch()
            # A command that asks for a password would have read the first question as the password.
            facts, users = (
                Question("one", "facts"),
                Question("two", "sharing", {"case": "other-uid", "flows": "16"}),
            )
            first, second = parse(heard(agent, facts, users, timeout=30), SCRIPTS)
            assert first.observation is not None
            assert second.observation is not None
            made = agent.provenance
            assert (made["user"], made["uid"]) == (USER, str(UID))
            if way.why is None:
                assert made["root"] == f"yes, by {way.root}"
                assert first.observation.facts["euid"] == 0
                assert second.observation.unsupported is None
            else:
                assert made["root"].startswith(f"no: {way.why}"), made["root"]
                assert first.observation.facts["euid"] == UID
                assert (second.observation.unsupported or "").startswith("needs root: ")
        assert server.until_left_alone() == []
