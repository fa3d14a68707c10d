"""Nightly runs are kept, compared with the last complete one, and never lost."""

import json
from pathlib import Path

from fakes import FakeProvider
from msgspec.structs import replace
from test_cli import Command, command
from test_history import matrix as night_of
from test_report import cell, matrix, word

from harness.matrix import encode
from harness.matrix.history import PastRun as Visited
from harness.matrix.history import history
from harness.model import Judgement, State
from harness.report.report import Report
from harness.report.summary import LIMIT, NightReport, render
from harness.store import NEVER_ASKED
from harness.store.archive import night
from harness.store.runs import load_matrix

__all__ = ["command"]  # a fixture, found by its name

ASKED = ("nightly", "one", "--guests", "guests", "--quick", "--folder", "nights")


def runs() -> list[Path]:
    return sorted(Path("nights/runs").iterdir())


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
    assert "Left out because the page would be too large: the matrix." in text
    assert "- a sentence" in text
    small = NightReport(Report(matrix({("a", cell()): word("balanced")})), none, ())
    assert "### Matrix" in render(small)


def test_what_cannot_be_asked_is_no_news() -> None:
    never = night(encode(night_of(0, State.NOT_APPLICABLE)), "m")
    stale = Visited("r9", "2026-12-01", {})
    one = matrix({("a", cell()): Judgement(State.NOT_APPLICABLE, why="no option")})
    assert "| never-measured |" not in render(NightReport(Report(one), history([never]), ()))
    failed = night(encode(night_of(0, State.INFRASTRUCTURE)), "m")
    assert "| never-measured |" in render(NightReport(Report(one), history([failed, stale]), ()))
