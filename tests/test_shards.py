"""A guest's cells, split among copies of it, and how long they are expected to take."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from test_rows import asked, met, told
from test_store import BEGUN, CELL, OTHER

from harness import scenarios
from harness.errors import CopyDiffersError
from harness.matrix import Matrix, MergedRun, Run, encode
from harness.model import Cell, Depth, Judgement, State, Trial
from harness.run.copies import Kin
from harness.run.experience import GUESS, Experience, experience_near
from harness.run.shards import split
from harness.scenarios import CATALOGUE
from harness.store import console_of
from harness.store.keeping import keep

FULL = scenarios.cells(Depth.FULL)


def second(_: Cell) -> float:
    return 1.0


@given(st.integers(1, 12), st.lists(st.sampled_from(FULL), unique=True, max_size=60))
def test_every_cell_is_in_one_part_in_its_order(count: int, cells: list[Cell]) -> None:
    parts = split(cells, count, second)
    assert Counter(cell for part in parts for cell in part) == Counter(cells)
    assert all(parts)
    assert len(parts) <= count
    for part in parts:
        assert list(part) == [cell for cell in cells if cell in set(part)]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_neither_a_scenario_nor_those_about_time_are_split(count: int) -> None:
    parts = split(FULL, count, second)
    names = [{cell.scenario for cell in part} for part in parts]
    assert sum(map(len, names)) == len(set().union(*names))
    timed = {name for name, scenario in CATALOGUE.items() if scenario.timed}
    assert sum(bool(part & timed) for part in names) == 1


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_parts_of_the_whole_catalogue_take_about_as_long(count: int) -> None:
    loads = [len(part) for part in split(FULL, count, second)]
    assert max(loads) <= 1.2 * len(FULL) / count


def test_a_part_with_slow_cells_has_fewer_of_them() -> None:
    slow = FULL[0].scenario
    (own,) = [
        part
        for part in split(FULL, 2, lambda cell: 60.0 if cell.scenario == slow else 1.0)
        if part[0].scenario == slow
    ]
    assert len(own) < len(FULL) / 2


def matrix(folder: Path, seconds: float, accelerator: str, cell: Cell = CELL) -> None:
    """Write a run beside others, in which a cell took so long."""
    folder.mkdir()
    trial = Trial("one", cell, (Judgement(State.MEASURED, "balanced"),), "t", seconds)
    run = Run(folder.name, "2026-11-22T00:00:00+00:00", Depth.QUICK)
    facts = {"one": {"system": "Linux", "accelerator": accelerator}}
    (folder / "matrix.json").write_bytes(encode(Matrix.of(run, facts, [trial])))


def test_how_long_cells_take_is_learnt_from_the_newest_runs(tmp_path: Path) -> None:
    matrix(tmp_path / "matrix-1", 9.0, "kvm")
    matrix(tmp_path / "matrix-2", 4.0, "kvm", OTHER)
    matrix(tmp_path / "matrix-3", 8.0, "tcg")
    (tmp_path / "matrix-4").mkdir()
    (tmp_path / "matrix-4" / "matrix.json").write_text("rubbish")
    known = experience_near(tmp_path / "matrix-5")
    assert known.of("one", CELL) == 2.0  # with acceleration it takes a quarter
    assert known.of("one", OTHER) == 4.0
    assert known.of("two", CELL) == GUESS


def test_without_a_history_every_cell_takes_as_long(tmp_path: Path) -> None:
    assert experience_near(tmp_path / "matrix-1") == Experience()


def test_cells_that_run_at_the_same_time_share_it(tmp_path: Path) -> None:
    waits = next(cell for cell in FULL if CATALOGUE[cell.scenario].load == 0)
    matrix(tmp_path / "matrix-1", 8.0, "kvm", waits)
    assert experience_near(tmp_path / "matrix-2").of("one", waits) == 1.0


def test_a_copy_is_the_same_kernel_image_and_agent() -> None:
    first = replace(
        met(""), provenance={"agent_sha256": "a", "accelerator": "tcg", "start": "cold"}
    )
    kin = Kin()
    kin.check(first)
    kin.check(replace(first, provenance={**first.provenance, "start": "warm", "user": "root"}))
    for name, value in (("agent_sha256", "b"), ("accelerator", "kvm"), ("disk_sha256", "c")):
        with pytest.raises(CopyDiffersError, match=f"{name} {value} instead of"):
            kin.check(replace(first, provenance={**first.provenance, name: value}))
    with pytest.raises(CopyDiffersError, match=r"release 6\.2 instead of 6\.1"):
        kin.check(replace(first, facts={**first.facts, "release": "6.2"}))


def test_a_run_that_goes_on_has_copies_of_what_it_met() -> None:
    with pytest.raises(CopyDiffersError, match=r"release 6\.1-b instead of 6\.1-a"):
        Kin(met("a")).check(met("b"))


def test_each_copy_has_a_console_of_its_own(tmp_path: Path) -> None:
    assert console_of(tmp_path, "one") == tmp_path / "guests" / "one" / "console.log"
    assert console_of(tmp_path, "one+2") == tmp_path / "guests" / "one" / "console-2.log"


def test_the_consoles_of_all_copies_come_along_with_a_merge(tmp_path: Path) -> None:
    told(tmp_path / "run", asked(CELL, ""), begun=replace(BEGUN, shards=2))
    for name in ("console.log", "console-2.log", "console-2.qemu.log"):
        (tmp_path / "run" / "guests" / "one" / name).write_text("login:")
    (tmp_path / "merge").mkdir()
    runs = (MergedRun("r1", BEGUN.started, Depth.QUICK, {"one": "one"}),)
    assert keep(tmp_path / "run", runs, tmp_path / "merge") == {"r1"}
    kept = tmp_path / "merge" / "runs" / "r1" / "guests" / "one"
    assert sorted(path.name for path in kept.iterdir()) == [
        "agent.jsonl",
        "console-2.log",
        "console.log",
    ]
