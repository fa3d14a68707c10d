"""The worked example of docs/pytest.md, on this machine's kernel and in a VM."""

from pathlib import Path

import pytest
from live_command import need_guest
from test_pytest_plugin import Project

from harness.machine.resources import guests_folder
from harness.run.live_guest import LiveGuest

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("plugin")]

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "handover"


def test_the_worked_example(tmp_path: Path) -> None:
    need_guest("linux-6.1")
    project = Project(tmp_path)
    for path in EXAMPLE.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    done = project("", "--guest", "host", "--guest", "linux-6.1", "-n", "2", "--dist", "loadgroup")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    assert project.left() == []


def test_a_program_is_compiled_for_the_guest(guest: LiveGuest, tmp_path: Path) -> None:
    source = tmp_path / "one.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("made"); return 0; }\n')
    guest.build(source, name="made")
    assert guest.run(["./made"]).stdout == "made\n"


def test_the_agent_answers_in_every_guest_what_it_cannot_know(guest: LiveGuest) -> None:
    """Its exit status for an unknown scenario is 77, as in automake (docs/wire.md)."""
    sources = sorted((guests_folder() / "agent").glob("*.c"))
    guest.build(*sources, name="agent")
    ran = guest.run(["./agent", "no-such-scenario"], check=False)
    assert ran.status == 77, ran.stderr


PROVIDERS = {"host": "host", "gvisor": "gvisor", "linux": "qemu"}
"""The first word of a guest's name, and who starts it in these tests."""


def test_a_guests_kernel_is_the_one_that_its_name_says(guest: LiveGuest) -> None:
    kind, _, release = guest.name.partition("-")
    assert guest.provenance["provider"] == PROVIDERS[kind]
    if release and release != "newest":
        assert guest.release.startswith(release)
    if kind == "linux":
        assert guest.provenance["kernel_sha256"]
