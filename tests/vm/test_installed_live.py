"""The published package works without a checkout: a wheel in a new environment and folder."""

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("installed"), pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]

CARRIED = (
    *("LICENSE", "host.yaml", "linux.yaml", "agent/main.c", "agent/question.h", "setup/init.sh"),
    *("Vagrantfile", "page/page.html", "page/table.js", "page/page.css", "box/build.py"),
)

HANDLED = """\
def test_it(guest):
    assert guest.run(["uname", "-r"]).stdout.strip() == guest.release
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an sdist of the checkout, and a wheel of the sdist."""
    folder = tmp_path_factory.mktemp("made")
    argv = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


class Elsewhere:
    """A new environment with the wheel in it, and an unrelated folder."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder / "elsewhere"
        self.folder.mkdir()
        own = ("PYTHON", "PYTEST", "TOX")
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(own)
        }
        self.environment["XDG_STATE_HOME"] = str(folder / "state")
        venv.create(folder / "venv", with_pip=True)
        self._bin = folder / "venv" / "bin"
        self("python", "-m", "pip", "install", "-q", f"{wheel}[pytest]")

    def __call__(self, program: str, *words: str) -> str:
        """Run a program of the environment; return its standard output."""
        done = subprocess.run(
            [self._bin / program, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout


@pytest.fixture(scope="module")
def elsewhere(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    (wheel,) = made.glob("*.whl")
    return Elsewhere(tmp_path_factory.mktemp("installed"), wheel)


def test_sdist_and_wheel_carry_all_that_a_guest_needs(made: Path) -> None:
    (wheel,), (sdist,) = made.glob("*.whl"), made.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as one, tarfile.open(sdist) as other:
        carried = [one.namelist(), other.getnames()]
    for names in carried:
        for name in CARRIED:
            assert any(one.endswith(f"/{name}") for one in names), name
        assert not [one for one in names if "__pycache__" in one or "/.tox/" in one]


def test_the_command_works_outside_any_checkout(elsewhere: Elsewhere) -> None:
    assert elsewhere("reuseport-matrix", "--version").startswith("reuseport-matrix ")
    guests = json.loads(elsewhere("reuseport-matrix", "guests", "--json"))
    assert {"host", "linux-6.1", "freebsd-14"} <= {guest["name"] for guest in guests}
    asked = ("--quick", "--scenario", "sharing", "--out", "run")
    assert "sharing" in elsewhere("reuseport-matrix", "run", "host", *asked)
    for form in ("html", "header", "csv", "junit", "markdown"):
        assert elsewhere("reuseport-matrix", "report", "run", "--format", form)
    assert (elsewhere.folder / "run" / "report.html").stat().st_size > 10_000


def test_the_plug_in_is_found_by_pytest_alone(elsewhere: Elsewhere) -> None:
    (elsewhere.folder / "test_it.py").write_text(HANDLED)
    assert "test_it[host]" in elsewhere("python", "-m", "pytest", "-v", "test_it.py")


def test_a_shell_completes_what_there_is(elsewhere: Elsewhere) -> None:
    """What click's script for bash asks at each TAB, and the answer."""

    def completed(words: str) -> list[str]:
        elsewhere.environment |= {
            "_REUSEPORT_MATRIX_COMPLETE": "bash_complete",
            "COMP_WORDS": f"reuseport-matrix {words}",
            "COMP_CWORD": str(len(words.split())),
        }
        try:
            lines = elsewhere("reuseport-matrix").splitlines()
        finally:
            del elsewhere.environment["_REUSEPORT_MATRIX_COMPLETE"]
        return [line.partition(",")[2] for line in lines]

    assert {"merge", "matrix"} & set(completed("me")) == {"merge"}
    assert {"linux-6.1", "linux"} <= set(completed("run lin"))
    assert "failure-queued" in completed("run --scenario failure-q")
    assert completed("report --format head") == ["header"]
