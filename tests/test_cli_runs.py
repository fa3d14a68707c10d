"""The commands that use several runs: baseline, history, merge."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_cli import Command, command

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
    }
    assert command("merge", "b", "a/matrix.json", "-o", "all.json").status == 0
    assert Path("all.json").read_bytes() == Path("all/matrix.json").read_bytes()
    assert "one" in command("report", "all").out
    assert command("judge", "all").status == 2


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
