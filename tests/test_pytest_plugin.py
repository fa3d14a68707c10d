"""The `guest` fixture in somebody else's project: on this machine's own kernel, in a second."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

OTHER = """\
name: nowhere
system: Plan9
qemu: {disk: missing.qcow2, ssh: {user: u, key: k}}
agent: {build: guest-cc}
"""


class Project:
    """A folder with tests of somebody's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")

    def __call__(self, tests: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the tests with the plug-in and return how that ended."""
        (self.folder / "test_it.py").write_text(tests)
        plain = ("-p", "harness.pytest_plugin", "-p", "no:cacheprovider", "-rs", "-v")
        return subprocess.run(
            [sys.executable, "-m", "pytest", *plain, *words],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "XDG_STATE_HOME": str(self.folder / "state"),
                "PYTEST_ADDOPTS": "",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def left(self) -> list[Path]:
        """Return what is left of guests."""
        return [*self.folder.glob("state/*/leases/*"), *self.folder.glob("state/*/guests/*")]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    one = Project(tmp_path)
    yield one
    assert one.left() == []


def test_a_test_runs_commands_and_moves_files_in_a_folder_of_its_own(project: Project) -> None:
    done = project(
        """
import pathlib

seen = set()

def test_files(guest):
    assert guest.name == "host"
    path = guest.push("#!/bin/sh\\necho $1 from $PWD\\n", "hello", executable=True)
    assert guest.run(["./hello", "hi"]).stdout == f"hi from {guest.folder}\\n"
    assert path == guest.folder + "/hello"
    pathlib.Path("local").write_bytes(b"\\0\\xff")
    guest.push(pathlib.Path("local"))
    assert guest.pull("local") == b"\\0\\xff"
    assert guest.run(["cat"], stdin="text").stdout == "text"
    assert guest.run(["sh", "-c", "exit 3"], check=False).status == 3
    assert guest.release
    seen.add(guest.folder)

def test_another_folder(guest):
    assert guest.folder not in seen
    assert guest.run(["ls"]).stdout == ""
"""
    )
    assert done.returncode == 0, done.stdout
    assert "test_files[host] PASSED" in done.stdout


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("guest.run(['sh', '-c', 'echo why >&2; exit 7'])", "status 7: why"),
        ("guest.run(['sleep', '60'], timeout=0.3)", "did not end within 0.3 s"),
        ("guest.push('x', '../x')", "is not a file name"),
        ("guest.pull('nothing')", "cannot read nothing"),
    ],
)
def test_what_goes_wrong_is_said_in_the_tests_own_failure(
    project: Project, body: str, said: str
) -> None:
    done = project(f"def test_it(guest):\n    {body}\n")
    assert done.returncode == 1
    assert said in done.stdout


def test_a_marker_narrows_and_the_reason_is_printed(project: Project) -> None:
    done = project(
        """
import pytest

@pytest.mark.guests("freebsd")
def test_elsewhere(guest): raise SystemExit

@pytest.mark.guests("host")
def test_here(guest): pass

def test_without(): pass
""",
        "--strict-markers",
    )
    assert done.returncode == 0, done.stdout
    assert "for freebsd; asked for: host" in done.stdout
    assert "2 passed, 1 skipped" in done.stdout


def test_a_guest_that_cannot_be_started_is_skipped_or_required(project: Project) -> None:
    (project.folder / "nowhere.yaml").write_text(OTHER)
    tests = "def test_it(guest): pass\n"
    asked = ("--guests-dir", ".", "--guest", "nowhere", "--guest", "host")
    done = project(tests, *asked)
    assert done.returncode == 0, done.stdout
    assert "nowhere cannot be started here: " in done.stdout
    assert "1 passed, 1 skipped" in done.stdout
    done = project(tests, *asked, "--guest-required")
    assert done.returncode == 1
    assert "nowhere cannot be started here: " in done.stdout


def test_a_name_that_is_none_is_a_usage_error_with_its_nearest(project: Project) -> None:
    done = project("def test_it(guest): pass\n", "--guest", "hsot")
    assert done.returncode == 4
    assert "--guest: no guest is called 'hsot'" in done.stderr + done.stdout
    assert "host" in done.stderr + done.stdout


def test_whoever_does_not_use_it_does_not_pay(project: Project) -> None:
    text = "import sys, harness.pytest_plugin; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", f"import pytest; {text}"], cwd=ROOT, capture_output=True, text=True
    )
    assert not {"msgspec", "paramiko", "yaml", "harness.run.live_guest"} & set(
        loaded.stdout.split()
    )
    assert project("def test_it(): pass\n", "-p", "no:xdist").returncode == 0


def test_strict_markers_and_no_xdist_are_no_hindrance(project: Project) -> None:
    done = project("def test_it(guest): pass\n", "--strict-markers", "-p", "no:xdist")
    assert done.returncode == 0, done.stdout


def test_a_group_of_somebodys_own_costs_nothing_of_ours(project: Project) -> None:
    (project.folder / "conftest.py").write_text(
        "import sys\ndef pytest_unconfigure(config):\n    assert 'msgspec' not in sys.modules\n"
    )
    done = project("def test_it(): pass\n", "-n", "2", "--dist", "loadgroup")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_guests_tests_stay_on_one_worker(project: Project) -> None:
    """By the name in the test's id: pytest-xdist's own groups are spread by pytest 9.2."""
    for name in ("left", "right"):
        text = f"name: {name}\nsystem: Any\nhost: {{}}\n"
        (project.folder / f"{name}.yaml").write_text(text)
    done = project(
        """
import os
import time

import pytest

@pytest.mark.parametrize("number", range(5))
def test_it(guest, number):
    time.sleep(0.05)
    print("WORKER", guest.name, os.environ["PYTEST_XDIST_WORKER"])
""",
        *("--guests-dir", ".", "--guest", "left", "--guest", "right"),
        *("-n", "2", "--dist", "loadgroup", "-rP"),
    )
    assert done.returncode == 0, done.stdout
    ran = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("WORKER ")]
    assert len(ran) == 10
    for name in ("left", "right"):
        assert len({worker for guest, worker in ran if guest == name}) == 1
