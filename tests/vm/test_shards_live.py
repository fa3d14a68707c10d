"""Two copies of one guest share its cells, in one row; an interrupted split run goes on.

Over a cluster, the copies run on several machines, and only open cells move if one is lost.
"""

import signal
from collections import Counter
from pathlib import Path

import pytest
from dask_cluster import lab
from live_command import Here, need_guest

from harness.model import State
from harness.store import Asked, GuestMet, lines_of

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("shards")]

GUEST = "linux-6.1"

SCENARIOS = ("distribution", "failure-queued", "takeover", "sharing")

ASKED = [word for name in SCENARIOS for word in ("--scenario", name)]

RUN = ("run", GUEST, "--quick", *ASKED, "--shards", "2", "--jobs", "2", "--out", "run")

ENDED = (State.MEASURED, State.INCONCLUSIVE, State.NOT_APPLICABLE)


@pytest.fixture(autouse=True)
def _needed() -> None:
    need_guest(GUEST)


def test_two_copies_share_the_cells_of_a_guest(tmp_path: Path) -> None:
    here = Here(tmp_path)
    ended = here(*RUN)
    assert ended.status == 0, ended.err
    matrix = here.matrix()
    assert list(matrix.guests) == [GUEST]
    assert {cell.state for cell in matrix.cells} <= {*ENDED}
    lines = lines_of(tmp_path / "run")
    met = [line for line in lines if isinstance(line, GuestMet)]
    assert len(met) >= 2
    assert len({line.facts["version"] for line in met}) == 1
    first = Counter(
        line.cell.key for line in lines if isinstance(line, Asked) and line.attempt == 1
    )
    assert set(first.values()) == {1}
    assert {name.partition(" ")[0] for name in first} == {*SCENARIOS}
    folder = tmp_path / "run" / "guests" / GUEST
    assert all((folder / name).stat().st_size for name in ("console.log", "console-2.log"))
    assert here.left() == []


def test_an_interrupted_split_run_asks_only_what_is_missing(tmp_path: Path) -> None:
    here = Here(tmp_path)
    with here.start(*RUN) as live:
        live.until_said(f"{GUEST}+2: scenario")
        live.process.send_signal(signal.SIGINT)
        assert live.ended().status == 130
    assert here.left() == []
    before = [line for line in lines_of(tmp_path / "run") if isinstance(line, Asked)]
    ended = here("run", "--resume", "--jobs", "2", "--out", "run")
    assert ended.status == 0, ended.err
    lines = [line for line in lines_of(tmp_path / "run") if isinstance(line, Asked)]
    done = {line.cell for line in before if line.raw[1] and line.failure is None}
    again = [line for line in lines[len(before) :] if line.attempt == 1 and line.cell in done]
    assert len(again) <= 2  # what was doubtful, or had no whole answer
    assert {cell.state for cell in here.matrix().cells} <= {*ENDED}


@pytest.mark.parametrize("lost", [False, True], ids=["whole", "a worker is lost"])
def test_the_copies_of_a_guest_run_on_two_machines(tmp_path: Path, lost: bool) -> None:
    here = Here(tmp_path)
    with lab(tmp_path, here.environment) as cluster:
        cluster.scheduler()
        workers = {name: cluster.worker(name) for name in ("one", "two")}
        with here.start(*RUN, "--cluster", cluster.address) as live:
            live.until_said(f"{GUEST}+2: scenario")
            if lost:
                workers["two"].send(signal.SIGKILL)
            ended = live.ended()
        assert ended.status == 0, ended.err
    matrix = here.matrix()
    assert list(matrix.guests) == [GUEST]
    assert {cell.state for cell in matrix.cells} <= {*ENDED}
    lines = [line for line in lines_of(tmp_path / "run") if isinstance(line, Asked)]
    assert {line.machine for line in lines} == {"one", "two"} or lost
    assert not any(line.failure for line in lines)
    assert (tmp_path / "run" / "guests" / GUEST / "console-2.log").stat().st_size
