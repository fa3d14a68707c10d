"""The rows of a run over several machines: two machines are never mixed within one."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from test_store import BEGUN, CELL, OTHER, PARAMETERS, RAW

from harness.errors import Phase
from harness.matrix import Matrix
from harness.matrix.changes import compare
from harness.matrix.merge import merge
from harness.model import Cell, State
from harness.report.formats import FORMATS
from harness.run.results import load_report, write_merge, write_reports
from harness.store import (
    Asked,
    Failure,
    GuestMet,
    Line,
    RunBegun,
    Store,
    judge_folder,
    recordings_of,
)
from harness.store.journal import encode
from harness.store.rows import rows_of


def asked(cell: Cell, machine: str, guest: str = "one") -> Asked:
    return Asked(
        guest, cell, 1, "q0", PARAMETERS, "2026-11-22T00:00:01+00:00", 0.5, machine=machine
    )


def kept(cell: Cell, machine: str) -> Asked:
    """Return the line of a question that was answered."""
    return replace(asked(cell, machine), raw=(0, 1))


def met(machine: str, guest: str = "one") -> GuestMet:
    made = {"provider": "qemu", "machine": machine} if machine else {"provider": "qemu"}
    facts = {"system": "Linux", "release": f"6.1-{machine}", "machine": "x86_64"}
    return GuestMet(guest, "2026-11-22T00:00:00+00:00", made, facts, machine)


def told(folder: Path, *lines: Line, begun: RunBegun = BEGUN) -> Matrix:
    """Write a run with these lines, in which every question was answered; return its matrix."""
    with Store.create(folder, begun) as store:
        for line in lines:
            if isinstance(line, Asked):
                store.guest(line.guest).answered(line, b"" if line.failure else RAW)
            elif isinstance(line, GuestMet):
                store.guest(line.guest).met(line)
    return judge_folder(folder)


def measured(matrix: Matrix) -> set[tuple[str, str]]:
    return {(one.guest, one.axes["bind"]) for one in matrix.cells if one.state is State.MEASURED}


def test_a_run_on_one_machine_writes_what_it_always_wrote() -> None:
    for line in (asked(CELL, ""), met(""), BEGUN):
        assert not {"machine", "shards"} & json.loads(encode(line)).keys()
    assert json.loads(encode(asked(CELL, "kvm")))["machine"] == "kvm"
    assert json.loads(encode(met("kvm")))["machine"] == "kvm"
    assert json.loads(encode(replace(BEGUN, shards=3)))["shards"] == 3


def test_the_machine_with_the_most_answers_has_the_guests_row(tmp_path: Path) -> None:
    lines = (met("kvm"), asked(CELL, "kvm"), met("box"), asked(CELL, "box"), asked(OTHER, "box"))
    matrix = told(tmp_path / "run", *lines)
    assert measured(matrix) == {("one@kvm", "specific"), ("one", "specific"), ("one", "wildcard")}
    assert list(matrix.guests) == ["one", "one@kvm", "two"]
    assert [matrix.guests[name]["release"] for name in ("one", "one@kvm")] == ["6.1-box", "6.1-kvm"]
    # What the other machine was not asked is no cell of its row.
    assert len([cell for cell in matrix.cells if cell.guest == "one@kvm"]) == 1


def test_of_machines_with_equally_many_answers_the_latest_has_the_row(tmp_path: Path) -> None:
    matrix = told(tmp_path / "run", asked(CELL, "kvm"), asked(CELL, ""), met("kvm"), met(""))
    assert measured(matrix) == {("one", "specific"), ("one@kvm", "specific")}
    assert matrix.guests["one"]["provenance"] == {}
    again = rows_of([kept(CELL, ""), kept(CELL, "kvm")])
    assert again == {("one", ""): "one@here", ("one", "kvm"): "one"}


def test_a_machine_that_answered_nothing_has_no_row(tmp_path: Path) -> None:
    lost = replace(asked(CELL, "kvm"), failure=Failure(Phase.BOOT, "gone"))
    matrix = told(tmp_path / "run", met("kvm"), lost, met("box"), asked(CELL, "box"))
    assert list(matrix.guests) == ["one", "two"]
    assert measured(matrix) == {("one", "specific")}


def test_the_copies_of_a_split_guest_are_one_row_wherever_they_ran(tmp_path: Path) -> None:
    lines = (met("kvm"), met("box"), asked(CELL, "kvm"), asked(OTHER, "box"))
    matrix = told(tmp_path / "run", *lines, begun=replace(BEGUN, shards=2))
    assert measured(matrix) == {("one", "specific"), ("one", "wildcard")}
    assert matrix.guests["one"]["provenance"] == {"machine": "box, kvm"}


def test_this_machine_has_a_name_that_no_other_one_has() -> None:
    rows = rows_of([kept(CELL, ""), kept(CELL, "here"), kept(OTHER, "here")])
    assert rows == {("one", ""): "one@here-", ("one", "here"): "one"}


HOSTS = replace(BEGUN, guests={"host@kvm-1.lab": "host", "host@mac2": "host", "one": "Linux"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines: Sequence[Line] = (
        *(met(name, f"host@{name}") for name in ("kvm-1.lab", "mac2")),
        *(asked(CELL, name, f"host@{name}") for name in ("kvm-1.lab", "mac2")),
        asked(CELL, "kvm-1.lab"),
        asked(CELL, "mac2"),
    )
    told(tmp_path / "matrix-1", *lines, begun=HOSTS)
    write_reports(tmp_path / "matrix-1")
    return tmp_path / "matrix-1"


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_shows_rows_of_machines(folder: Path, form: str) -> None:
    text = FORMATS[form](load_report(folder, None, None, whole=True))
    assert form == "header" or "host@mac2" in text.replace("<!-- -->", "")


def test_the_recordings_of_each_row_are_its_own(folder: Path) -> None:
    found = recordings_of(folder).replies
    assert [one.guest for one in found] == ["host@kvm-1.lab", "host@mac2", "one", "one@kvm-1.lab"]
    assert all(one.raw == RAW for one in found)


def test_rows_of_machines_can_be_merged_and_compared(folder: Path, tmp_path: Path) -> None:
    matrix = judge_folder(folder)
    assert compare(matrix, matrix).measured == 4
    merged = merge([matrix])
    assert merged.matrix.guests.keys() == matrix.guests.keys()
    assert write_merge(tmp_path / "merge", merged.matrix, [folder]) == ()
    assert {one.guest for one in recordings_of(tmp_path / "merge", merged.matrix.run).replies} == {
        *matrix.guests
    }
