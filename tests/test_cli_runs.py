"""The commands that use several runs: baseline, history, merge."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_cli import Command, command

from harness.store import judge_folder, recordings_of
from harness.store.keeping import place
from harness.store.runs import load_matrix

__all__ = ["command"]  # a fixture, found by its name

ASKED = ("run", "one", "--guests", "guests", "--scenario", "distribution")


def measured(command: Command, folder: str, word: str | None = None) -> Path:
    """Measure; with `word`, set every verdict to it and move the date; return the matrix.json."""
    assert command(*ASKED, "--out", folder).status == 0
    path = Path(folder, "matrix.json")
    if word is not None:
        found = json.loads(path.read_text())
        found["run"]["started"] = "2036-01-01T00:00:00+00:00"
        for cell in found["cells"]:
            if cell["verdict"] is not None:
                cell["verdict"] = cell["repeats"][0]["verdict"] = word
        path.write_text(json.dumps(found))
    return path


def expectation(*, expires: int, word: str = "balanced") -> str:
    day = (datetime.now(UTC) + timedelta(days=expires)).date()
    return (
        "schema: 1\nmatrix: old/matrix.json\nknown:\n"
        f"  - {{scenario: dist*, verdict: {word}, reason: odd, expires: {day}, guest: one}}\n"
    )


def test_a_baseline_with_known_differences(command: Command) -> None:
    measured(command, "old", "newest")
    Path("b.yaml").write_text(expectation(expires=9))
    ended = command(*ASKED, "--out", "new", "--baseline", "b.yaml")
    assert (ended.status, "known: one: distribution" in ended.err) == (0, True)
    assert "<skipped" in Path("new/junit.xml").read_text()
    assert "<failure" not in Path("new/junit.xml").read_text()
    Path("b.yaml").write_text(expectation(expires=-1))
    ended = command(*ASKED, "--out", "late", "--baseline", "b.yaml")
    assert (ended.status, "no longer excused (odd" in ended.err) == (1, True)
    assert "<failure" in Path("late/junit.xml").read_text()
    shown = command("report", "new", "--format", "junit", "--baseline", "b.yaml")
    assert "no longer excused" in shown.out


def test_a_known_difference_that_is_gone_is_said(command: Command) -> None:
    measured(command, "old")
    Path("b.yaml").write_text(expectation(expires=9, word="newest"))
    ended = command(*ASKED, "--out", "new", "--baseline", "b.yaml")
    assert (ended.status, "remove its known difference" in ended.err) == (1, True)


def test_a_baseline_of_other_cells_says_that_it_compares_nothing(command: Command) -> None:
    command("run", "one", "--guests", "guests", "--scenario", "sharing", "--out", "old")
    ended = command(*ASKED, "--out", "new", "--baseline", "old")
    assert (ended.status, "no cell of this run can be compared" in ended.err) == (0, True)


def test_history_of_folders_of_a_folder_of_them_and_of_a_file(command: Command) -> None:
    measured(command, "nights/a")
    measured(command, "nights/b", "newest")
    one = command("history", "nights")
    assert one.status == 0
    assert "changed in the newest run" in one.out
    assert "balanced → newest 1 of 2" in one.out
    assert command("history", "nights/a", "nights/b").out == one.out
    assert command("history", "--db", "h.sqlite", "nights/a").status == 0
    assert command("history", "--db", "h.sqlite", "nights/b/matrix.json").out == one.out
    assert command("history", "--db", "h.sqlite").out == one.out
    data = json.loads(command("history", "nights", "--json").out)
    assert (len(data["runs"]), data["counts"]["changed"] > 0) == (2, True)
    assert data["cells"][0]["guest"] == "one"
    assert json.loads(command("history", "nights", "--json", "--guest", "one").out) == data
    assert "| changed | one |" in command("history", "nights", "--format", "markdown").out


def test_merge_into_a_folder_with_its_reports_and_into_a_file(command: Command) -> None:
    measured(command, "a")
    command("run", "two", "--guests", "guests", "--scenario", "distribution", "--out", "b")
    ended = command("merge", "a", "b", "-o", "all")
    assert (ended.status, "guests: 2, cells: " in ended.err) == (0, True)
    assert {path.name for path in Path("all").iterdir()} == {
        "junit.xml",
        "matrix.json",
        "report.html",
        "report.md",
        "runs",
    }
    assert command("merge", "b", "a/matrix.json", "-o", "all.json").status == 0
    assert Path("all.json").read_bytes() == Path("all/matrix.json").read_bytes()
    assert "one" in command("report", "all").out
    assert command("judge", "all").status == 2


def test_the_recordings_of_a_merge_come_along(command: Command) -> None:
    """A merged page shows the same evidence as those of its runs, also after they are deleted."""
    measured(command, "a")
    command("run", "two", "--guests", "guests", "--scenario", "distribution", "--out", "b")
    assert command("merge", "a", "b/matrix.json", "-o", "first").status == 0
    shutil.rmtree("b")
    ended = command("merge", "a", "first", "-o", "all")
    assert (ended.status, "no recordings" in ended.err) == (0, False)
    whole = load_matrix(Path("all"))
    found = recordings_of(Path("all"), whole.run)
    assert {(one.guest, one.key) for one in found.replies} == {
        (one.guest, one.key) for one in whole.cells
    }
    assert all(one.raw for one in found.replies)
    assert {name: bytes(text) for name, text in found.consoles.items()}.keys() <= {"one", "two"}
    for run in Path("all/runs").iterdir():
        assert (judge_folder(run).run.id, run.stat().st_mode & 0o77) == (run.name, 0)
    page = command("report", "all", "--format", "html").out
    assert page == Path("all/report.html").read_text()


def test_a_matrix_without_its_recordings_is_named(command: Command) -> None:
    file = measured(command, "a").rename("alone.json")
    command("run", "two", "--guests", "guests", "--scenario", "distribution", "--out", "b")
    ended = command("merge", "alone.json", "b", "-o", "all")
    run = json.loads(file.read_text())["run"]["id"]
    assert (ended.status, f"no recordings of run {run}" in ended.err) == (0, True)
    assert len(list(Path("all/runs").iterdir())) == 1


def test_recordings_cannot_lead_out_of_their_folder(command: Command) -> None:
    measured(command, "a")
    secret, said = Path("secret"), Path("a/guests/one/agent.jsonl")
    said.rename(secret)
    said.symlink_to(secret.absolute())
    found = json.loads(Path("a/matrix.json").read_text())
    assert command("merge", "a", "-o", "all").status == 0  # the page says that replies are missing
    assert not list(Path("all").glob("runs/*/guests/*/agent.jsonl"))
    assert place(found["run"]["id"]) == found["run"]["id"]
    for evil in ("../x", "/etc", "", "a/b", ".", "..", "x" * 99, "\ud800"):
        assert re.fullmatch(r"run-[0-9a-f]{12}", place(evil)), evil


def test_a_merge_does_not_replace_another_one_silently(command: Command) -> None:
    measured(command, "a")
    command("run", "two", "--guests", "guests", "--scenario", "distribution", "--out", "b")
    for there in ("all", "all.json"):
        assert command("merge", "a", "-o", there).status == 0
        before = load_matrix(Path(there))
        ended = command("merge", "a", "b", "-o", there)
        assert (ended.status, "already holds another merge" in ended.err) == (2, True)
        assert load_matrix(Path(there)) == before
        assert command("merge", "a", "-o", there).status == 0, "the same runs again"
        assert command("merge", there, "b", "-o", there).status == 0, "one more run"
        assert len(load_matrix(Path(there)).run.merged) == 2
        assert command("merge", "b", "-o", there, "--force").status == 0
        assert len(load_matrix(Path(there)).run.merged) == 1


def test_a_merge_of_runs_that_contradict_each_other(command: Command) -> None:
    measured(command, "a")
    measured(command, "b", "newest")
    ended = command("merge", "a", "b", "-o", "all.json")
    assert (ended.status, "balanced and newest, so inconclusive: " in ended.err) == (0, True)
    assert command("merge", "a", "b", "-o", "all.json", "--strict").status == 1
    said = json.loads(command("merge", "a", "b", "-o", "all.json", "--json").out)
    assert said["conflicts"][0]["words"] == ["balanced", "newest"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("history",), "name runs"),
        (("history", "nowhere"), "nowhere"),
        (("history", "empty"), "holds no run"),
        (("history", "--db", "text", "a"), "text"),
        (("history", "cut.json"), "cut off"),
        (("merge", "a", "newer.json", "-o", "c.json"), "newer than this program"),
        (("merge", "a", "other.json", "-o", "c.json"), "not a matrix"),
        (("merge", "a", "-o", "a"), "is a run's folder"),
        (("merge", "a", "-o", "no/folder/c.json"), "no/folder"),
        (("diff", "a", "cut.json"), "cut off"),
        (("report", "other.json", "--format", "html"), "not a matrix"),
        (("report", "a", "a", "--format", "junit"), "one document"),
    ],
)
def test_bad_input_is_a_sentence(command: Command, arguments: tuple[str, ...], said: str) -> None:
    good = measured(command, "a").read_text()
    Path("empty").mkdir()
    Path("text").write_text("no database " * 99)
    Path("cut.json").write_text(good[:300])
    Path("newer.json").write_text(good.replace('"schema": 1', '"schema": 2'))
    Path("other.json").write_text('{"some": "json"}')
    ended = command(*arguments)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert said in ended.err


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "XDG_STATE_HOME"])
def test_a_place_that_takes_no_files_is_said_and_not_traced(
    variable: str, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    ended = command("exec", "linux-6.1", "--", "true")
    assert ended.status in (2, 3), ended.err
    assert "Traceback" not in ended.err
    if ended.status == 2:  # only if QEMU is installed
        assert f"error: {tmp_path}/file" in ended.err
        assert f"({variable}" in ended.err


def test_any_two_guests_can_be_compared(command: Command) -> None:
    measured(command, "a")
    path = measured(command, "b", "newest")
    found = json.loads(path.read_text().replace('"one"', '"two"'))
    path.write_text(json.dumps(found))
    both = command("diff", "a/one", "b/two")
    assert (both.status, "\none → two\n" in both.out) == (1, True)
    assert "new flows: newest instead of balanced\n" in both.out
    assert command("diff", "a", "b/matrix.json", "--from", "one", "--to", "two").out == both.out
    assert command("diff", "a/matrix.json/one", "b/two").out == both.out
    command("merge", "a", "b", "-o", "all")
    inside = command("diff", "all", "--from", "one", "--to", "two")
    assert (inside.status, "newest instead of balanced" in inside.out) == (1, True)
    assert command("diff", "all/one", "a/one").status == 0
    assert command("diff", "a", "b").status == 3, "guests of other names are no pair"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a/tow", "a/one"), "did you mean two"),
        (("a/one",), "name another one"),
        (("a", "--from", "one"), "need each other"),
        (("a/one", "a/two", "--from", "one", "--to", "two"), "named twice"),
        (("a", "--from", "one", "--to", "tow"), "did you mean two"),
        (("nowhere/one", "a/one"), "nowhere/one"),
    ],
)
def test_a_guest_that_is_not_there_is_a_sentence(
    command: Command, arguments: tuple[str, ...], said: str
) -> None:
    asked = ("run", "one", "two", "--guests", "guests", "--scenario", "distribution")
    command(*asked, "--out", "a")
    ended = command("diff", *arguments)
    assert (ended.status, ended.out, said in ended.err) == (2, "", True), ended.err
