"""The run folder keeps every whole line, belongs to one process, and can be judged again."""

import logging
import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakes import reply
from msgspec.structs import replace

from harness.errors import FileError, Phase, UsageError
from harness.matrix.recordings import Recordings
from harness.model import Cell, Depth, State
from harness.store import (
    Asked,
    Failure,
    GuestMet,
    GuestMissed,
    RunBegun,
    Store,
    folder,
    judge_folder,
    judged,
    lines_of,
    recordings_of,
)
from harness.store.journal import encode
from harness.transport import LocalTransport

CELL = Cell.at("distribution", option="reuseport", protocol="tcp", family="ipv4", bind="specific")
OTHER = Cell.at("distribution", option="reuseport", protocol="tcp", family="ipv4", bind="wildcard")

BEGUN = RunBegun(
    id="r1",
    started="2026-11-22T00:00:00+00:00",
    catalogue=Depth.QUICK,
    version="0",
    guests={"one": "Linux", "two": "NetBSD"},
    cells=(CELL, OTHER),
)

PARAMETERS = {"protocol": "tcp", "family": "ipv4", "bind": "specific", "flows": "400"}

RAW = reply("q0 distribution " + " ".join(f"{k}={v}" for k, v in PARAMETERS.items())).encode()


def asked(cell: Cell = CELL, guest: str = "one", **more: object) -> Asked:
    return Asked(guest, cell, 1, "q0", PARAMETERS, "2026-11-22T00:00:01+00:00", 0.5)


def failed(why: str, cell: Cell = CELL) -> Asked:
    failure = Failure(Phase.BOOT, why)
    return Asked("one", cell, 1, "q0", {}, "2026-11-22T00:00:01+00:00", 0.5, failure=failure)


def store(path: Path) -> Store:
    return Store.create(path, BEGUN)


def test_what_was_said_is_judged_from_the_folder_alone(tmp_path: Path) -> None:
    with store(tmp_path / "run") as one:
        one.guest("one").met(GuestMet("one", "t", {"provider": "fake"}, {"release": "6.1"}))
        line = one.guest("one").answered(asked(), RAW)
        one.guest("two").not_run("no image")
    assert judged(line, RAW).verdict == "balanced"
    matrix = judge_folder(tmp_path / "run")
    found = {(cell.guest, cell.axes["bind"]): cell for cell in matrix.cells}
    assert found["one", "specific"].verdict == "balanced"
    assert found["one", "specific"].seconds == 0.5
    assert found["one", "wildcard"].state is State.NOT_RUN
    assert found["two", "specific"].why == "no image"
    assert matrix.guests["one"]["release"] == "6.1"
    assert matrix.guests["one"]["provider"] == "fake"
    assert matrix.guests["two"]["system"] == "NetBSD"
    assert judge_folder(tmp_path / "run") == matrix


def test_a_cell_that_sets_a_tunable_is_a_cell_of_the_guests_that_have_it(tmp_path: Path) -> None:
    setting = Cell.at("distribution", option="reuseport", tunables="net.a.b=1")
    tunables = {"one": ("net.a.b",), "two": ("net.a.c",)}
    begun = replace(BEGUN, cells=(CELL, setting), tunables=tunables)
    with Store.create(tmp_path / "run", begun):
        pass
    found = [(cell.guest, cell.cell) for cell in judge_folder(tmp_path / "run").cells]
    assert found == [("one", CELL), ("one", setting), ("two", CELL)]


def test_a_failure_of_ours_is_never_a_verdict_and_a_later_answer_makes_it_good(
    tmp_path: Path,
) -> None:
    with store(tmp_path / "run") as one:
        one.guest("one").answered(failed("no SSH-"), b"")
        one.guest("one").answered(failed("no SSH-", OTHER), b"")
        one.guest("one").answered(asked(), RAW)
    first, second, *_ = judge_folder(tmp_path / "run").cells
    assert (first.state, first.verdict, len(first.repeats)) == (State.MEASURED, "balanced", 2)
    assert (second.state, second.why) == (State.INFRASTRUCTURE, "boot: no SSH-")


def test_a_torn_answer_is_kept_as_it_came_and_spoils_no_other(tmp_path: Path) -> None:
    with store(tmp_path / "run") as one:
        one.guest("one").answered(asked(), RAW[:-10])
        one.guest("one").answered(asked(OTHER), RAW)
    first, second, *_ = judge_folder(tmp_path / "run").cells
    assert first.state is State.INFRASTRUCTURE
    assert second.verdict == "balanced"
    assert (tmp_path / "run/guests/one/agent.jsonl").read_bytes() == RAW[:-10] + b"\n" + RAW


def test_a_journal_whose_last_line_was_cut_off_is_read_without_it_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with store(tmp_path) as one:
        one.guest("two").not_run("no image")
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-7])
    with caplog.at_level(logging.WARNING):
        assert lines_of(tmp_path) == (BEGUN,)
    assert "cut off" in caplog.text
    with Store.resume(tmp_path, BEGUN) as again:
        again.guest("two").not_run("still no image")
    assert lines_of(tmp_path) == (BEGUN, BEGUN, GuestMissed("two", "still no image"))


def test_what_was_kept_is_there_for_a_page(tmp_path: Path) -> None:
    with store(tmp_path) as one:
        one.guest("one").answered(asked(), RAW)
        one.guest("one").answered(asked(OTHER), RAW)
        one.guest("two").answered(replace(failed("no kernel"), guest="two"), b"")
        one.guest("two").console.write_bytes(b"panic\n")
    kept = recordings_of(tmp_path)
    assert [(found.guest, found.key[0], found.failure) for found in kept.replies] == [
        ("one", "distribution", None),
        ("one", "distribution", None),
        ("two", "distribution", f"{Phase.BOOT}: no kernel"),
    ]
    assert [(found.raw, found.offset) for found in kept.replies[:2]] == [(RAW, 0), (RAW, len(RAW))]
    assert kept.consoles == {"two": b"panic\n"}


def test_a_matrix_alone_has_no_recordings(tmp_path: Path) -> None:
    assert recordings_of(tmp_path) == Recordings()


def test_a_newer_programs_journal_is_refused_as_that(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text('{"line":"run","journal":2,"of":"another shape"}\n')
    with pytest.raises(FileError, match=r"journal\.jsonl:1: journal 2 is newer") as caught:
        lines_of(tmp_path)
    assert caught.value.hint is not None


def test_a_journal_that_does_not_say_what_its_run_is_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_bytes(b'{"line":"nonsense"}\n')
    with pytest.raises(FileError, match=r"journal\.jsonl:1: a journal must begin with") as caught:
        lines_of(tmp_path)
    assert caught.value.hint is not None


def damaged(path: Path) -> Path:
    """Make a run in which both guests answered both cells; return its journal."""
    with store(path) as one:
        for guest in ("one", "two"):
            for cell in (CELL, OTHER):
                one.guest(guest).answered(asked(cell, guest), RAW)
    return path / "journal.jsonl"


def words(path: Path) -> list[str | None]:
    return [cell.verdict for cell in judge_folder(path).cells]


def test_a_damaged_line_costs_its_own_answer_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = damaged(tmp_path)
    assert words(tmp_path) == ["balanced"] * 4
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], lines[2].replace(b"}", b"]"), *lines[3:]]))
    found = judge_folder(tmp_path).cells
    assert words(tmp_path) == ["balanced", None, "balanced", "balanced"]
    assert (found[1].state, found[1].why) == (
        State.NOT_RUN,
        "line 3 of the journal is damaged, and may have held this answer",
    )
    assert "journal.jsonl:3: left out: not a line of the journal" in caplog.text
    assert [one.raw for one in recordings_of(tmp_path).replies] == [RAW] * 3


def test_a_damaged_line_of_nobody_may_have_been_anybodys(tmp_path: Path) -> None:
    with store(tmp_path) as one:
        one.guest("one").answered(asked(), RAW)
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b"\0\0\0\n")
    found = judge_folder(tmp_path).cells
    assert found[0].verdict == "balanced"
    assert {cell.why for cell in found[1:]} == {
        "line 3 of the journal is damaged, and may have held this answer"
    }


def test_the_first_line_may_be_damaged_if_a_later_one_says_the_same(tmp_path: Path) -> None:
    journal = damaged(tmp_path)
    with Store.resume(tmp_path, BEGUN):
        pass
    journal.write_bytes(b"x" + journal.read_bytes())
    assert words(tmp_path) == ["balanced"] * 4


def test_many_damaged_lines_are_not_all_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = damaged(tmp_path)
    journal.write_bytes(journal.read_bytes() + b"x\n" * 100)
    judge_folder(tmp_path)
    assert "95 more damaged lines" in caplog.text
    assert len(caplog.records) == 6


@pytest.mark.parametrize("how", ["short", "missing", "folder"])
def test_a_guest_whose_answers_are_damaged_takes_none_from_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    damaged(tmp_path)
    replies = tmp_path / "guests" / "one" / "agent.jsonl"
    replies.write_bytes(RAW + RAW[:100])
    if how != "short":
        replies.unlink()
    if how == "folder":
        replies.mkdir()
    first = "balanced" if how == "short" else None
    assert words(tmp_path) == [first, None, "balanced", "balanced"]
    lost = judge_folder(tmp_path).cells[1]
    assert lost.state is State.INFRASTRUCTURE
    assert lost.why == "scenario: the recorded answer is damaged or missing"
    assert "answers of one are lost" in caplog.text
    kept = recordings_of(tmp_path)
    assert [one.failure is None for one in kept.replies] == [first is not None, False, True, True]


def test_a_guest_that_the_run_does_not_have_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged(tmp_path)
    with (tmp_path / "journal.jsonl").open("ab") as file:
        for name in ("three", "../../etc"):
            file.write(encode(replace(asked(CELL, name), raw=(0, 10))))
    assert words(tmp_path) == ["balanced"] * 4
    assert "lines of 'three', which is no guest of the run" in caplog.text


def test_a_reply_of_any_length_does_not_fill_the_memory(tmp_path: Path) -> None:
    with store(tmp_path) as one:
        one.guest("one").answered(asked(), RAW)
    with (tmp_path / "guests" / "one" / "agent.jsonl").open("ab") as file:
        file.truncate(20 << 30)
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(encode(replace(asked(OTHER), raw=(0, 20 << 30))))
    assert words(tmp_path)[:2] == ["balanced", None]


def test_a_run_is_never_written_over_and_nothing_of_others_is_touched(tmp_path: Path) -> None:
    with store(tmp_path / "run"):
        pass
    with pytest.raises(FileError, match="already holds a run") as error:
        store(tmp_path / "run")
    assert "--resume" in str(error.value.hint)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    with pytest.raises(FileError, match="not a run's folder"):
        store(tmp_path / "mine")
    with pytest.raises(FileError, match="cannot read this journal"):
        Store.resume(tmp_path / "mine", BEGUN)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter"]
    with pytest.raises(FileError, match=r"exists|Not a directory"):
        store(tmp_path / "mine" / "letter")


def _resume(path: Path) -> str:
    try:
        Store.resume(path, BEGUN)
    except FileError as exc:
        return str(exc)
    return "opened"


def test_two_runs_cannot_write_into_one_folder(tmp_path: Path) -> None:
    with store(tmp_path), multiprocessing.get_context("spawn").Pool(1) as pool:
        assert "another run is writing here" in pool.apply(_resume, (tmp_path,))


def test_a_full_disk_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "ROOM", 1 << 70)
    with pytest.raises(FileError, match="are free"):
        store(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a\0", "-x", "a" * 65, "ä"])
def test_a_guests_name_that_is_no_folders_name_is_refused(tmp_path: Path, name: str) -> None:
    with store(tmp_path) as one, pytest.raises(UsageError):
        one.guest(name)


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    with store(tmp_path / "run") as one:
        one.guest("one").answered(asked(), RAW)
        one.guest("one").met(GuestMet("one", "t", {}, {}))
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"journal.jsonl", "agent.jsonl", "facts.json"}
    assert {path.stat().st_mode & 0o077 for path in files} == {0}
    assert (tmp_path / "run").stat().st_mode & 0o077 == 0


def test_what_a_guest_says_is_spooled_and_goes_by_itself(tmp_path: Path) -> None:
    with store(tmp_path) as one:
        record = one.guest("one")
        with record.spool() as said:
            said.append(b"one")
            said.append(b" two")
            assert record.reading(said.content) == b"one two"
            assert list(record.folder.iterdir()) == []
        with pytest.raises(FileError):
            said.append(b"three")


def test_answers_are_read_one_at_a_time(tmp_path: Path) -> None:
    reading: list[str] = []
    most: list[int] = []

    def read() -> str:
        reading.append(threading.current_thread().name)
        time.sleep(0.02)
        most.append(len(reading))
        return reading.pop()

    with store(tmp_path) as one, ThreadPoolExecutor(2) as guests:
        records = [one.guest("one"), one.guest("two")] * 2
        names = set(guests.map(lambda record: record.reading(read), records))
    assert most == [1] * 4
    assert len(names) == 1


def test_a_disk_that_gets_full_is_no_fault_of_the_guests(tmp_path: Path) -> None:
    full = folder.AppendedFile(Path("/dev/full"), os.open("/dev/full", os.O_RDWR))
    transport = LocalTransport()
    with pytest.raises(FileError, match="No space left"):
        transport.run(["echo", "x"], timeout=10, into=full.append)
    os.close(full._descriptor)
