"""Sends every signal in every phase of a run, to the harness or QEMU: nothing is left or lost.

`faults.POINTS` lists the function for each phase.
"""

import hashlib
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import faults
import pytest
from live_command import PATIENCE, Ended, Here, need_guest
from test_pytest_plugin import Project
from web_server import Site, serving

from harness.machine.places import NAME, Places
from harness.model import State
from harness.store.journal import Asked, GuestMet

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("faults")]

ONE = "linux-6.1"

RUN = (
    "run",
    ONE,
    "--quick",
    "--scenario",
    "sharing",
    "--scenario",
    "failure-queued",
    "--out",
    "run",
)
"""Most of it is measured before the faults of its second batch come."""

SETTLED = {State.MEASURED, State.NOT_APPLICABLE, State.INCONCLUSIVE}

SOON = 10.0
"""Within these seconds a signal ends a run, and a QEMU ends after its owner was killed."""

LATE = ("scenario", "replies", "journal", "report", "destroy", "undone")
"""Points that come after some cells were measured."""

NO_BOOT = b"\xeb\xfe" + bytes(1 << 20)
"""A disk whose boot sector jumps to itself for ever."""


class Faulty(Here):
    """A place to run commands with faults. It has its own `TMPDIR` and, if needed, cache."""

    def __init__(self, folder: Path) -> None:
        scratch = folder / "tmp"
        scratch.mkdir()
        super().__init__(folder, {"TMPDIR": str(scratch), "no_proxy": "127.0.0.1"})
        self.scratch = scratch

    def struck(self, point: str, number: signal.Signals, victim: str, *words: str) -> Ended:
        """Run a command with a fault, and check that the fault happened."""
        usual = self.command
        self.command = (sys.executable, faults.__file__, point, number.name, victim)
        try:
            with self.start(*words) as live:
                ended = live.ended()
        finally:
            self.command = usual
        assert (self.folder / faults.STRUCK).exists(), ended.err
        return ended

    def since(self) -> float:
        """Return the seconds since the fault."""
        return time.time() - (self.folder / faults.STRUCK).stat().st_mtime

    def left(self) -> list[str]:
        """Return everything that is left. Ports need no check: without a process none is open."""
        temporary = map(str, self.scratch.iterdir())
        return [*super().left(), *self.processes(), *temporary, *sockets_below(self.folder)]

    def until_alone(self, seconds: float = SOON) -> None:
        """Wait until all children of a killed owner have ended (PR_SET_PDEATHSIG, prctl(2))."""
        if sys.platform == "linux":  # elsewhere `gc` is the first to end it
            until = time.monotonic() + seconds
            while found := self.processes():
                assert time.monotonic() < until, found
                time.sleep(0.05)

    def own_cache(self, *shared: str) -> None:
        """Give the command its own cache; share only these folders of the user's cache."""
        cache = self.folder / "cache" / NAME
        cache.mkdir(parents=True)
        for name in shared:
            (cache / name).symlink_to(Places.of_user().folder(name))
        self.environment["XDG_CACHE_HOME"] = str(cache.parent)

    def measured(self) -> dict[str, int]:
        """Return how often each cell was asked and answered, according to the journal."""
        found: dict[str, int] = {}
        for line in self.journal():
            if isinstance(line, Asked) and line.failure is None:
                found[line.cell.key] = found.get(line.cell.key, 0) + 1
        return found

    def whole(self) -> None:
        """Check that every cell has an answer in the matrix, and was asked only once."""
        cells = self.matrix().cells
        assert {cell.state for cell in cells} <= SETTLED
        assert self.measured() == {cell.cell.key: 1 for cell in cells}

    def kept(self, before: dict[str, int]) -> None:
        """Check that measured cells are in the matrix, and that the others are marked missing."""
        for cell in self.matrix().cells:
            assert (cell.state in SETTLED) == (cell.cell.key in before), cell


def sockets_below(folder: Path) -> list[str]:
    """Return the Unix sockets with a name below a folder (/proc/net/unix, the last column)."""
    try:
        lines = Path("/proc/net/unix").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [line for line in lines if str(folder) in line]


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Make the guest warm, so that it need not boot for most points."""
    need_guest(ONE)
    done = Here(tmp_path_factory.mktemp("warm"))("exec", ONE, "--", "true")
    assert done.status == 0, done.err


@pytest.fixture
def here(tmp_path: Path, warm: None) -> Faulty:
    return Faulty(tmp_path)


COLD = {
    "apt": {"resolved", "apt"},
    "unpacking": {"kernels"},
    "boot": {"warm"},
    "saving": {"warm"},
    "compiler": {"agents", "zig"},
}
"""The cache entries that must be missing, so that there is work that a signal can interrupt."""


def cold(here: Faulty, point: str) -> None:
    """Make sure that there is work at a point; for apt, an archive that does not answer."""
    if point in COLD:
        shared = {path.name for path in Places.of_user().cache.iterdir() if path.is_dir()}
        here.own_cache(*shared - COLD[point])
    if point == "apt":
        tools = here.folder / "tools"
        tools.mkdir()
        (tools / "apt-get").write_text("#!/bin/sh\nexec sleep 60\n")
        (tools / "apt-get").chmod(0o700)
        here.environment["PATH"] = f"{tools}:{here.environment['PATH']}"


POINTS = tuple(point for point in faults.POINTS if point not in ("transfer", "overlay"))
"""The points that `RUN` reaches; the other two need a guest from a vendor's disk."""

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", HEARD)
@pytest.mark.parametrize("point", POINTS)
def test_a_signal_ends_a_run_in_order(point: str, number: signal.Signals, here: Faulty) -> None:
    cold(here, point)
    ended = here.struck(point, number, "harness", *RUN)
    assert here.since() < SOON
    assert ended.status == 130, ended.err
    assert here.left() == []
    assert "error: interrupted" in ended.err
    assert "Traceback" not in ended.err
    before = here.measured()
    assert bool(before) == (point in LATE)
    here.kept(before)


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_run_is_collected_and_resumed(point: str, here: Faulty) -> None:
    cold(here, point)
    ended = here.struck(point, signal.SIGKILL, "harness", *RUN)
    assert ended.status == -signal.SIGKILL, ended.err
    here.until_alone()
    before = here.measured()
    assert bool(before) == (point in LATE)
    assert here("judge", "run").status == 0
    here.kept(before)
    if point not in LATE:
        assert here("gc").status == 0
        assert here.left() == []
        return
    done = here("run", "--resume", "--out", "run")
    assert done.status == 0, done.err
    assert here.left() == []
    here.whole()


VISIT = ("exec", ONE, "--", "true")

UNWOUND = (
    "packages",
    "apt",
    "lease",
    "started",
    "boot",
    "saving",
    "back",
    "ssh",
    "destroy",
    "undone",
)


@pytest.mark.parametrize("point", UNWOUND)
def test_a_signal_ends_a_visit_in_order(point: str, here: Faulty) -> None:
    """There a signal raises an exception, which can come between any two steps."""
    cold(here, point)
    ended = here.struck(point, signal.SIGTERM, "harness", *VISIT)
    assert here.since() < SOON
    assert ended.status == 130, ended.err
    assert here.left() == []
    assert "Traceback" not in ended.err


DEATHS = ("boot", "saving", "back", "ssh", "push", "scenario", "journal", "destroy")


@pytest.mark.parametrize("number", [*HEARD, signal.SIGKILL])
@pytest.mark.parametrize("point", DEATHS)
def test_a_guest_that_is_ended_is_booted_afresh(
    point: str, number: signal.Signals, here: Faulty
) -> None:
    cold(here, point)
    ended = here.struck(point, number, "qemu", *RUN)
    assert ended.status == 0, ended.err
    assert here.left() == []
    assert "Traceback" not in ended.err
    here.whole()
    lives = len([line for line in here.journal() if isinstance(line, GuestMet)])
    assert lives == (2 if point in ("scenario", "journal") else 1)


def test_a_collector_that_is_killed_leaves_its_work_to_the_next(here: Faulty) -> None:
    here.struck("back", signal.SIGKILL, "harness", *RUN)
    (here.folder / faults.STRUCK).unlink()
    assert here.struck("undone", signal.SIGKILL, "harness", "gc").status == -signal.SIGKILL
    (lease,) = here.leases()
    assert (lease.run, lease.process is not None) == (str(here.folder / "run"), True)
    assert here("gc").status == 0
    assert here.left() == []


@pytest.fixture
def vendor(here: Faulty) -> Iterator[Site]:
    """A vendor of a disk that does not boot, and a guest file that names it."""
    here.own_cache("accelerators", "agents", "zig")
    with serving(Site({"disk.img": NO_BOOT})) as site:
        sha256 = hashlib.sha256(NO_BOOT).hexdigest()
        image = f"image: {{url: '{site.address('disk.img')}', sha256: {sha256}}}, seed: nocloud"
        target = "agent: {target: x86_64-linux-musl}"
        text = f"name: vendors\nsystem: Linux\n{target}\nqemu: {{{image}}}\n"
        (here.folder / "vendors.yaml").write_text(text)
        yield site


@pytest.mark.parametrize("number", [*HEARD, signal.SIGKILL])
@pytest.mark.parametrize("point", ["transfer", "overlay"])
def test_a_signal_while_a_disk_is_had_leaves_none(
    point: str, number: signal.Signals, vendor: Site, here: Faulty
) -> None:
    ended = here.struck(
        point, number, "harness", "run", "--guests", ".", "vendors", *RUN[2:], "--jobs", "1"
    )
    killed = number == signal.SIGKILL
    assert ended.status == (-number if killed else 130), ended.err
    if killed:
        here.until_alone()
        assert bool(here.leases()) == (point == "overlay")
        assert here("gc").status == 0
    assert here.since() < SOON
    assert here.left() == []
    assert here.measured() == {}
    images = list((here.folder / "cache" / NAME / "downloads").glob("*.image"))
    assert bool(images) == (point == "overlay")


VICTIMS = """
import os
import signal
import sys
import time

import pytest

VICTIM, POINT = {victim!r}, {point!r}
FIRST = os.environ.get("PYTEST_XDIST_WORKER") == "gw0"

if POINT and FIRST:
    sys.path.append({helpers!r})
    import faults

    faults.arm(POINT, signal.SIGKILL, "harness")


@pytest.mark.parametrize("number", range(2))
def test_it(guest, number):
    assert guest.run(["true"]).status == 0
    if FIRST and not POINT:
        os.kill(os.getpid() if VICTIM == "worker" else os.getppid(), signal.SIGKILL)
        time.sleep(60)
"""


def suite(here: Faulty, monkeypatch: pytest.MonkeyPatch, victim: str, point: str) -> str:
    """Run a user's tests on a guest, and kill one of the workers or all of pytest."""
    for name in ("TMPDIR", "no_proxy"):
        monkeypatch.setenv(name, here.environment[name])
    helpers = str(Path(faults.__file__).parent)
    tests = VICTIMS.format(victim=victim, point=point, helpers=helpers)
    base = str(here.folder / "pytest")
    done = Project(here.folder)(tests, "--guest", ONE, "-n", "1", "--basetemp", base)
    assert (done.returncode < 0) == (victim == "pytest"), done.stdout
    return done.stdout


@pytest.mark.parametrize("point", ["started", "back", "ssh", ""])
def test_a_worker_that_is_killed_costs_one_test_and_one_boot(
    point: str, here: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = suite(here, monkeypatch, "worker", point)
    assert "worker 'gw0' crashed" in said
    assert "1 failed, 1 passed" in said
    assert here.left() == []


def test_a_pytest_that_is_killed_takes_its_workers_and_guests_along(
    here: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite(here, monkeypatch, "pytest", "")
    here.until_alone(PATIENCE)  # execnet gives a worker 15 s
    assert here("gc").status == 0
    assert here.left() == []
