"""Nightly runs are kept, compared with the last complete one, and never lost."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from fakes import FakeProvider
from msgspec.structs import replace
from test_cli import Command, command
from test_history import matrix as night_of
from test_report import cell, matrix, word
from test_store import BEGUN

from harness.matrix import encode
from harness.matrix.history import PastRun as Visited
from harness.matrix.history import history
from harness.model import Judgement, State
from harness.report.report import Report
from harness.report.summary import LIMIT, NightReport, render
from harness.store import NEVER_ASKED, Store
from harness.store.archive import night
from harness.store.pruning import prune_runs
from harness.store.runs import load_matrix

__all__ = ["command"]  # a fixture, found by its name

ASKED = ("nightly", "one", "--guests", "guests", "--quick", "--folder", "nights")


def runs() -> list[Path]:
    return sorted(Path("nights/runs").glob("*"))


def rewritten(run: Path, word: str | None, why: str = "because") -> None:
    """Change every verdict of a run to another word, or to none."""
    found = load_matrix(run)
    cells = tuple(
        entry
        if entry.verdict is None
        else replace(entry, verdict=word, repeats=())
        if word is not None
        else replace(entry, state=State.NOT_RUN, verdict=None, why=why, repeats=())
        for entry in found.cells
    )
    (run / "matrix.json").write_bytes(encode(replace(found, cells=cells)))


def test_the_first_night_has_nothing_to_be_compared_with(command: Command) -> None:
    ended = command(*ASKED)
    assert ended.status == 0
    assert "no complete run before this one" in ended.err
    assert "balanced" in ended.out
    assert {path.name for path in Path("nights").iterdir()} == {
        "history.sqlite",
        "report.html",
        "runs",
        "summary.md",
    }
    text = Path("nights/summary.md").read_text()
    assert "There is no complete run before this one to compare with." in text
    assert "| **distribution** |" in text


def test_a_changed_verdict_is_exit_1_and_stands_in_the_summary(command: Command) -> None:
    command(*ASKED)
    rewritten(runs()[0], "newest")
    ended = command(*ASKED, "--json")
    assert ended.status == 1
    said = json.loads(ended.out)
    assert said["changed"] > 0
    assert said["since"] == load_matrix(runs()[0]).run.id
    assert said["folder"] == str(runs()[1])
    text = Path("nights/summary.md").read_text()
    assert "| verdict changed | distribution |" in text
    assert "Since the run before" in Path("nights/report.html").read_text()
    assert command(*ASKED).status == 0
    assert len(runs()) == 3


def test_a_night_that_broke_off_is_not_what_the_next_is_compared_with(command: Command) -> None:
    command(*ASKED)
    first = load_matrix(runs()[0]).run.id
    command(*ASKED)
    rewritten(runs()[1], None, NEVER_ASKED)
    assert json.loads(command(*ASKED, "--json").out)["since"] == first
    (runs()[2] / "matrix.json").write_text("cut")
    assert json.loads(command(*ASKED, "--json").out)["since"] == first


def test_old_runs_go_and_their_history_stays(command: Command) -> None:
    for _ in range(3):
        command(*ASKED)
    Path("nights/runs/notes").mkdir()
    ended = command(*ASKED, "--keep-runs", "2")
    assert ended.err.count("removed nights/runs/matrix-") == 2
    assert [path.name.partition("-")[0] for path in runs()] == ["matrix", "matrix", "notes"]
    assert "4 runs" in command("history", "--db", "nights/history.sqlite").out


def killed(name: str, journal: bytes | None = None) -> Path:
    """Make what a killed night leaves: a folder, and a journal if it got that far."""
    run = Path("nights/runs", name)
    run.mkdir(parents=True)
    if journal is not None:
        (run / "journal.jsonl").write_bytes(journal)
    return run


def test_nights_that_were_killed_go_as_well(command: Command) -> None:
    command(*ASKED)
    journal = (runs()[0] / "journal.jsonl").read_bytes()
    for number in range(3):
        killed(f"matrix-20200101-00000{number}", journal)
    killed("matrix-20200101-000003")
    killed("matrix-mine")  # empty, but not named as a night is
    Path("elsewhere").mkdir()
    Path("elsewhere/matrix.json").write_text("{}")
    Path("nights/runs/matrix-20200101-000009").symlink_to(Path("elsewhere").absolute())
    ended = command(*ASKED, "--keep-runs", "2")
    assert ended.status == 0
    assert ended.err.count("removed nights/runs/matrix-20200101") == 4
    left = [path.name for path in runs()]
    assert left[0] == "matrix-20200101-000009"
    assert "matrix-mine" in left
    assert len(left) == 4
    assert Path("elsewhere/matrix.json").exists()


def test_only_killed_nights_leave_the_last_whole_one_to_compare_with(tmp_path: Path) -> None:
    whole = tmp_path / "matrix-20200101-000000"
    whole.mkdir()
    (whole / "matrix.json").write_text("{}")
    for number in range(1, 4):
        run = tmp_path / f"matrix-20200101-00000{number}"
        run.mkdir()
        (run / "journal.jsonl").write_text("")
    gone = [path.name[-1] for path in prune_runs(tmp_path, 2)]
    assert gone == ["1"]
    assert whole.is_dir()


def test_a_night_that_still_runs_is_not_removed(tmp_path: Path) -> None:
    old = tmp_path / "matrix-20200101-000000"
    for name in (old.name, "matrix-20200102-000000"):
        with Store.create(tmp_path / name, BEGUN):
            pass
    with Store.resume(old, BEGUN):
        assert [*prune_runs(tmp_path, 1)] == []
    assert [*prune_runs(tmp_path, 1)] == [old]


def broken(kind: str) -> None:
    path = Path("nights/history.sqlite")
    content = path.read_bytes() if path.exists() else b""
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "text":
        path.write_bytes(b"no database at all, whatever its name says" * 100)
    elif kind == "other":
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE mine (a)")
    else:
        path.write_bytes(content[: len(content) // 2] if kind == "cut" else spoilt(content))


def spoilt(content: bytes) -> bytes:
    return content[:4096] + b"\xff" * (len(content) - 4096)


@pytest.mark.parametrize("kind", ["pipe", "text", "other", "cut", "spoilt"])
def test_a_broken_history_is_told_before_a_guest_boots(command: Command, kind: str) -> None:
    if kind in ("cut", "spoilt"):
        command(*ASKED)
        command.provider.booted.clear()
    broken(kind)
    before = runs()
    ended = command(*ASKED)
    assert (ended.status, ended.out) == (2, "")
    assert "error: nights/history.sqlite: " in ended.err
    assert "hint: move it away: a new history begins then; or name another folder" in ended.err
    assert "--db" not in ended.err
    assert command.provider.booted == []
    assert runs() == before


def test_a_history_that_breaks_during_the_night_loses_only_itself(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.cli.nightly.check_archive", lambda path, hint: broken("text"))
    ended = command(*ASKED)
    assert ended.status == 0
    assert "balanced" in ended.out
    assert "cannot be used as a history" in ended.err
    assert "The history of the other nights is left out" in Path("nights/summary.md").read_text()


def test_a_guest_that_cannot_be_measured_is_exit_3_with_a_summary(command: Command) -> None:
    command.use(FakeProvider(missing=["one"]))
    ended = command(*ASKED)
    assert ended.status == 3
    assert "could not be measured" in Path("nights/summary.md").read_text()


def test_what_other_machines_measured_is_a_night_too(command: Command) -> None:
    for guest in ("one", "two"):
        asked = ("--guests", "guests", "--scenario", "distribution", "--out", guest)
        command("run", guest, *asked)
    merged = ("nightly", "--folder", "nights", "--of", "one", "--of", "two/matrix.json")
    assert command(*merged).status == 0
    assert set(load_matrix(runs()[0]).guests) == {"one", "two"}
    rewritten(runs()[0], "newest")
    ended = command(*merged, "--json")
    assert (ended.status, json.loads(ended.out)["changed"] > 0) == (1, True)
    assert "Since the run before" in Path("nights/report.html").read_text()
    assert command("nightly", "--folder", "nights", "--of", "nowhere").status == 2


def test_a_bad_baseline_is_said_before_anything_is_measured(command: Command) -> None:
    ended = command(*ASKED, "--baseline", "none.yaml")
    assert (ended.status, "none.yaml" in ended.err) == (2, True)
    assert runs() == []


def test_a_summary_is_never_larger_than_a_ci_takes() -> None:
    big = matrix(
        {
            (f"guest-{at % 5}", cell(case=str(at))): word(f"word-{at}-{'x' * 300}")
            for at in range(4000)
        }
    )
    none = history([])
    text = render(NightReport(Report(big), none, ("a sentence",)))
    assert len(text.encode()) < LIMIT
    assert "- a sentence" in text
    text = render(NightReport(Report(big), none, ("a sentence of many",) * 60_000))
    assert len(text.encode()) < LIMIT
    assert "Left out because the page would be too large: what needs attention." in text
    small = NightReport(Report(matrix({("a", cell()): word("balanced")})), none, ())
    assert "### Matrix" in render(small)


def test_what_cannot_be_asked_is_no_news() -> None:
    never = night(encode(night_of(0, State.NOT_APPLICABLE)), "m")
    stale = Visited("r9", "2026-12-01", {})
    one = matrix({("a", cell()): Judgement(State.NOT_APPLICABLE, why="no option")})
    assert "| never-measured |" not in render(NightReport(Report(one), history([never]), ()))
    failed = night(encode(night_of(0, State.INFRASTRUCTURE)), "m")
    assert "| never-measured |" in render(NightReport(Report(one), history([failed, stale]), ()))
