"""Runs over a real Dask cluster on loopback: a scheduler, and workers that come and go."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dask_cluster import Lab, lab, path_of, quiet
from live_command import PATIENCE, Ended, Here, Live, need_guest

from harness.model import State
from harness.store.journal import Asked, GuestMet

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("cluster")]

LINUX = "linux-6.1"

FOUR = ("linux-5.10", LINUX, "linux-6.12", "linux-newest")

NOTICED = 30.0
"""Seconds within which a lost machine must be noticed."""

SHORT = ("--scenario", "sharing", "--quick", "--out", "run")
LONG = ("--scenario", "distribution", "--scenario", "failure-arrivals", "--quick", "--out", "run")
"""The second one asks for some ten seconds, in several batches."""


SETTLED = (State.MEASURED, State.INCONCLUSIVE, State.NOT_APPLICABLE)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


@pytest.fixture
def cluster(here: Here, tmp_path: Path) -> Iterator[Lab]:
    """A scheduler; the workers have the same state as the command, so that all leases are there."""
    with lab(tmp_path, here.environment) as made:
        made.scheduler()
        yield made


def run(here: Here, cluster: Lab, *words: str) -> Ended:
    return here("run", *words, "--cluster", cluster.address)


def until(true: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, what
        time.sleep(0.05)


def machine_of(here: Here, guest: str) -> object:
    made = here.matrix().guests[guest]["provenance"]
    assert isinstance(made, dict)
    return made["machine"]


def answers(here: Here) -> int:
    """Return how many answers were put down."""
    return sum(isinstance(line, Asked) and line.failure is None for line in here.journal())


def test_each_guest_goes_where_it_can_start(here: Here, cluster: Lab, tmp_path: Path) -> None:
    need_guest(LINUX)
    few = path_of(tmp_path / "few", ["sh", "unshare", "id", "uname", "rm", "mkdir", "cat", "chmod"])
    empty = {"XDG_CACHE_HOME": str(tmp_path / "empty"), "PATH": few}
    cluster.worker("a-without-qemu", environment={"PATH": few})
    cluster.worker("b-with-qemu")
    cluster.worker("c-only-host", environment=empty)
    ended = run(here, cluster, LINUX, *SHORT)
    assert ended.status == 0, ended.err
    quiet(ended)
    assert machine_of(here, LINUX) == "b-with-qemu"
    assert (here.folder / "run" / "guests" / LINUX / "console.log").stat().st_size > 1000
    assert here.left() == []


def test_four_guests_over_two_workers_say_what_they_say_on_one_machine(
    here: Here, cluster: Lab
) -> None:
    for name in FOUR:
        need_guest(name)
    cluster.worker("one")
    cluster.worker("two")
    ended = run(here, cluster, *FOUR, *SHORT)
    assert ended.status == 0, ended.err
    alone = here("run", *FOUR, *SHORT[:-1], "alone", "--jobs", "2")
    assert alone.status == 0, alone.err
    far, near = (
        {(cell.guest, cell.cell.key): (cell.state, cell.verdict) for cell in one.cells}
        for one in (here.matrix(), here.matrix("alone"))
    )
    assert far == near
    assert {machine_of(here, name) for name in FOUR} == {"one", "two"}
    files = sorted(path.name for path in (here.folder / "alone").rglob("*") if path.is_file())
    assert files == sorted(path.name for path in (here.folder / "run").rglob("*") if path.is_file())
    assert here.left() == []


def _booting(here: Here, _: Live) -> None:
    here.until_machine()


def _asking(here: Here, live: Live) -> None:
    live.until_said("scenario")
    until(lambda: answers(here) > 0, "no answer came")


def _ending(_: Here, live: Live) -> None:
    live.until_said(": destroy")


@pytest.mark.parametrize(
    ("moment", "guest"), [(_booting, LINUX), (_asking, "host"), (_ending, "host")]
)
def test_a_killed_worker_is_noticed(
    moment: Callable[[Here, Live], None], guest: str, here: Here, cluster: Lab
) -> None:
    need_guest(LINUX)
    worker = cluster.worker("one")
    with here.start("run", guest, *LONG, "--cluster", cluster.address) as live:
        moment(here, live)
        worker.send(signal.SIGKILL)
        since = time.monotonic()
        ended = live.ended()
    assert time.monotonic() - since < NOTICED
    quiet(ended)
    if moment is not _ending:
        assert ended.status == 3, ended.err
        assert "the machine one is lost" in ended.err
        kept = [cell for cell in here.matrix().cells if cell.state in SETTLED]
        assert len(kept) == answers(here)
    cluster.worker("one")  # its preload ends what the dead worker left
    until(lambda: here.left() == [], "a guest is left")
    again = run(here, cluster, "--resume", "--out", "run")
    assert again.status == 0, again.err


def test_a_lost_guest_goes_to_another_machine_with_all_its_cells(here: Here, cluster: Lab) -> None:
    need_guest(LINUX)
    workers = {name: cluster.worker(name) for name in ("one", "two")}
    with here.start("run", LINUX, *LONG, "--cluster", cluster.address) as live:
        _asking(here, live)
        (first,) = {line.machine for line in here.journal() if isinstance(line, GuestMet)}
        workers.pop(first).send(signal.SIGKILL)
        ended = live.ended()
    assert ended.status == 0, ended.err
    (second,) = workers
    asked = [line for line in here.journal() if isinstance(line, Asked)]
    by_machine = {
        name: {one.cell.key for one in asked if one.machine == name} for name in (first, second)
    }
    cells = {cell.cell.key for cell in here.matrix().cells if cell.guest == LINUX}
    assert by_machine[second] == cells
    assert by_machine[first] < cells
    assert machine_of(here, LINUX) == second
    assert f"{LINUX}@{first}" in here.matrix().guests


def test_a_stopped_worker_ends_its_guest_when_it_goes_on(here: Here, cluster: Lab) -> None:
    need_guest(LINUX)
    worker = cluster.worker("one")
    with here.start("run", LINUX, *LONG, "--cluster", cluster.address) as live:
        _asking(here, live)
        worker.send(signal.SIGSTOP)
        since = time.monotonic()
        live.until_said("the machine one is lost")
        assert time.monotonic() - since < NOTICED
        ended = live.ended()
    assert ended.status == 3, ended.err
    assert here.machines()
    worker.send(signal.SIGCONT)
    until(lambda: here.left() == [], "the guest is left", 20)


@pytest.mark.parametrize("with_cluster", [False, True])
def test_a_run_goes_on_after_its_scheduler_died(
    here: Here, cluster: Lab, with_cluster: bool
) -> None:
    need_guest(LINUX)  # another machine's `host` could not go on
    cluster.worker("one")
    boss = cluster.boss
    with here.start("run", LINUX, *LONG, "--cluster", cluster.address) as live:
        _asking(here, live)
        boss.send(signal.SIGKILL)
        since = time.monotonic()
        ended = live.ended()
    assert time.monotonic() - since < NOTICED
    assert ended.status == 3, ended.err
    assert "--resume" in ended.err
    quiet(ended)
    before = answers(here)
    assert before > 0
    until(lambda: here.left() == [], "something is left")
    more: tuple[str, ...] = ()
    if with_cluster:
        cluster.scheduler()
        cluster.worker("one")
        more = ("--cluster", cluster.address)
    again = here("run", "--resume", "--out", "run", *more)
    assert again.status == 0, again.err
    assert answers(here) > before


def test_a_worker_that_ends_in_order_ends_its_guests(here: Here, cluster: Lab) -> None:
    need_guest(LINUX)
    worker = cluster.worker("one")
    with here.start("run", LINUX, *LONG, "--cluster", cluster.address) as live:
        here.until_machine()
        worker.send(signal.SIGTERM)
        ended = live.ended()
    assert ended.status == 3, ended.err
    worker.process.wait(PATIENCE)
    assert here.left() == []


def test_a_killed_home_leaves_no_guest(here: Here, cluster: Lab, tmp_path: Path) -> None:
    need_guest(LINUX)
    impatient = tmp_path / "impatient.py"
    impatient.write_text(
        "from harness.cluster import desk\n"
        "from harness.cluster.preload import dask_setup, dask_teardown\n"
        "desk.SILENCE = 10.0\n"
    )
    cluster.worker("one", preload=str(impatient))
    with here.start("run", LINUX, *LONG, "--cluster", cluster.address) as live:
        here.until_machine()
        live.process.kill()
        live.ended()
    until(lambda: here.left() == [], "the guest is left", 40)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_guests(number: signal.Signals, here: Here, cluster: Lab) -> None:
    need_guest(LINUX)
    cluster.worker("one")
    cluster.worker("two")
    words = ("run", LINUX, "linux-5.10", "--jobs", "2", *LONG, "--cluster", cluster.address)
    with here.start(*words) as live:
        live.until_said(f"{LINUX}: boot")
        live.until_said("linux-5.10: boot")
        here.until_machine()
        live.process.send_signal(number)
        since = time.monotonic()
        ended = live.ended()
    assert ended.status == 130, ended.err
    assert time.monotonic() - since < NOTICED
    assert here.left() == []
    quiet(ended)


def test_another_version_is_refused_with_both(here: Here, cluster: Lab, tmp_path: Path) -> None:
    other = tmp_path / "other_version.py"
    other.write_text(
        "from harness.cluster import identity, preload\n"
        "identity.version = lambda: '9.9.9'\n"
        "dask_setup = preload.dask_setup\n"
    )
    cluster.worker("other", preload=str(other))
    cluster.worker("bare", preload=None)
    ended = run(here, cluster, "host", *SHORT)
    assert ended.status == 2, ended.err
    assert "9.9.9" in ended.err
    assert "this is 0." in ended.err
    assert "bare" in ended.err
    cluster.worker("ours")
    ended = run(here, cluster, "host", *SHORT)
    assert ended.status == 0, ended.err
    assert "left out of the cluster: other has version 9.9.9" in ended.err
