"""The worked example of docs/pytest.md, on this machine's kernel and in a VM."""

from pathlib import Path

import pytest
from live_command import need_guest
from test_pytest_plugin import Project

from harness.live_guest import LiveGuest

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
