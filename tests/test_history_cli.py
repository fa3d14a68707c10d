"""`history`, `merge` and `diff` as users and attackers would type them."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from test_cli import ROOT, Command, command, python
from test_merge import LINUX, MAC
from test_report import HOSTILE

from harness.matrix import Facts, Matrix, Run, encode
from harness.model import Cell, Depth, Judgement, State, Trial
from harness.store import archive

__all__ = ["command"]  # a fixture, found by its name

CELL = Cell.at("distribution", protocol="tcp", family="ipv4")

EVIL = HOSTILE.replace("\ud800", "")
"""The part of `HOSTILE` that JSON can hold."""


def written(
    path: str,
    day: int,
    said: Mapping[str, str | State],
    cell: Cell = CELL,
    facts: Facts = LINUX,
    depth: Depth = Depth.FULL,
) -> Path:
    """Write a run's matrix.json with each guest's result for one cell."""
    run = Run(f"r{day}", f"2026-11-{day:02}T00:00:00+00:00", depth)
    trials = [
        Trial(
            guest,
            cell,
            (
                Judgement(word, why="because")
                if isinstance(word, State)
                else Judgement(State.MEASURED, word),
            ),
            "t",
            0.5,
        )
        for guest, word in said.items()
    ]
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encode(Matrix.of(run, dict.fromkeys(said, facts), trials)))
    return file


def edited(path: Path, name: str, **changes: object) -> None:
    """Write a copy of a matrix with another first cell."""
    found = json.loads(path.read_text())
    found["cells"][0] |= changes
    Path(name).write_text(json.dumps(found))


def test_a_history_names_what_flickers_and_says_how_old_the_rest_is(command: Command) -> None:
    for day, word in enumerate(("balanced", "newest", "balanced"), 1):
        written(f"n/{day}/matrix.json", day, {"a": word, "b": "balanced"})
    written("n/9/matrix.json", 9, {"b": State.INFRASTRUCTURE})
    shown = command("history", "n").out
    said = "distribution  balanced 2 of 3, changed 2 times, 1 run, 6 days ago, now not asked"
    assert f"a  {said}: tcp \N{MIDDLE DOT} ipv4" in shown
    assert "balanced 3 of 3, 1 run, 6 days ago, now infrastructure" in shown
    assert command("history", "n", "--last", "1").out.count(" of ") == 0
    assert "a  " not in command("history", "n", "--guest", "b").out


def test_the_order_of_axes_in_a_file_makes_no_other_cell(command: Command) -> None:
    one = Cell.at("distribution", protocol="tcp", peer="tun", case="x")
    other = Cell("distribution", tuple(reversed(one.points)))
    written("a.json", 1, {"g": "balanced"}, one)
    written("b.json", 2, {"g": "newest"}, other)
    data = json.loads(command("history", "a.json", "b.json", "--json").out)
    assert [(cell["n"], cell["changes"]) for cell in data["cells"]] == [(2, 1)]


def test_the_same_runs_give_the_same_bytes_however_they_come(command: Command) -> None:
    files = []
    for day in range(1, 5):
        cell = Cell.at("sharing", family="ipv4", bind=str(day % 3))
        files.append(str(written(f"{day}.json", day, {"b": "x", "a": "y"}, cell)))
    forms = ("terminal", "markdown", "json")
    plain = [command("history", *files, "--format", form).out for form in forms]
    assert [command("history", *files[::-1], "--format", form).out for form in forms] == plain
    for seed in ("1", "2"):
        for file in reversed(files):
            python("-m", "harness", "history", file, "--db", seed, PYTHONHASHSEED=seed)
        assert [command("history", "--db", seed, "--format", form).out for form in forms] == plain


def test_a_folder_with_a_run_that_has_no_matrix_says_so(command: Command) -> None:
    written("n/1/matrix.json", 1, {"a": "x"})
    Path("n/2").mkdir()
    Path("n/2/journal.jsonl").write_text("{}")
    ended = command("history", "n")
    assert (ended.status, ended.err) == (
        0,
        "n/2 is left out: it has no matrix.json; `judge` writes it\n",
    )
    for name in ("history", "report", "diff"):
        ended = command(name, "n/2")
        assert (ended.status, "`judge n/2` makes it" in ended.err) == (2, True)


@pytest.mark.parametrize("name", ["history", "diff", "merge", "report"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"guest": "nobody"}, "nobody"),
        ({"verdict": None}, "verdict"),
        ({"state": "infrastructure", "why": "w"}, "verdict"),
        ({"state": "excellent"}, "excellent"),
        ({"axes": {"protocol": 1}}, "axes"),
    ],
)
def test_a_file_with_a_fault_is_told_alike_by_every_command(
    command: Command, name: str, changes: Mapping[str, object], message: str
) -> None:
    edited(written("good.json", 1, {"a": "x"}), "bad.json", **changes)
    more = {"diff": ["good.json"], "merge": ["good.json", "-o", "all.json"]}
    ended = command(name, "bad.json", *more.get(name, []))
    assert (ended.status, ended.out) == (2, "")
    assert "error: bad.json: a matrix with a fault: " in ended.err
    assert message in ended.err
    assert not Path("all.json").exists()


@pytest.mark.parametrize("name", ["history", "diff", "report"])
def test_a_cell_that_is_there_twice_is_a_fault(command: Command, name: str) -> None:
    found = json.loads(written("good.json", 1, {"a": "x"}).read_text())
    found["cells"] *= 2
    Path("twice.json").write_text(json.dumps(found))
    ended = command(name, "twice.json")
    assert (ended.status, "twice on guest 'a'" in ended.err) == (2, True)


def test_an_axis_may_have_any_name(command: Command) -> None:
    odd = Cell("sharing", (("cls", "a"), ("guest", "d"), ("scenario", "b"), ("self", "c")))
    written("odd.json", 1, {"a": "x"}, odd)
    for name in ("history", "diff", "report"):
        ended = command(name, "odd.json", "odd.json")
        assert (ended.status, "Traceback" in ended.err) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("history", "--db", "none.sqlite"), "none.sqlite does not exist"),
        (("history", "a.json", "--guest", "b"), "no guest in these runs is called 'b'"),
        (("history", "a.json", "--scenario", "sharin"), "is called 'sharin'"),
        (("history", "a.json", "--last", "0"), "--last"),
        (("history", "a.json", "--format", "html"), "html"),
        (("merge", "a.json"), "-o"),
        (("merge", "-o", "all.json"), "DIR|FILE"),
        (("merge", "a.json", "-o", "a.json/all"), "a.json/all"),
    ],
)
def test_wrong_usage_is_a_sentence(
    command: Command, arguments: tuple[str, ...], message: str
) -> None:
    written("a.json", 1, {"a": "x"})
    ended = command(*arguments)
    assert (ended.status, ended.out, message in ended.err) == (2, "", True)
    assert not Path("none.sqlite").exists()


def test_a_file_of_runs_that_is_locked_or_broken_is_said(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    written("a.json", 1, {"a": "x"})
    assert command("history", "a.json", "--db", "h").status == 0
    monkeypatch.setattr(archive, "LOCKED_SECONDS", 0.1)
    with sqlite3.connect("h") as connection:
        connection.execute("BEGIN EXCLUSIVE")
        ended = command("history", "a.json", "--db", "h")
        assert (ended.status, "database is locked" in ended.err) == (2, True)
    with sqlite3.connect("h") as connection:
        connection.execute("UPDATE visit SET state = 'excellent'")
    assert "cannot be used as a history" in command("history", "--db", "h").err
    whole = Path("h").read_bytes()
    Path("h").write_bytes(whole[:5000] + b"x" * 3000)
    ended = command("history", "--db", "h")
    assert (ended.status, ended.out) == (2, "")


def test_a_file_of_runs_that_may_only_be_read_can_be_looked_at(command: Command) -> None:
    written("a.json", 1, {"a": "x"})
    shown = command("history", "a.json", "--db", "h").out
    Path("h").chmod(0o400)
    assert command("history", "--db", "h").out == shown


def test_a_file_of_runs_that_somebody_adds_to_can_be_looked_at(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "LOCKED_SECONDS", 0.1)
    written("a.json", 1, {"a": "x"})
    shown = command("history", "a.json", "--db", "h").out
    with sqlite3.connect("h") as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert command("history", "--db", "h").out == shown


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_file_of_runs_that_may_only_be_read_is_not_added_to(command: Command) -> None:
    written("a.json", 1, {"a": "x"})
    assert command("history", "a.json", "--db", "h").status == 0
    Path("h").chmod(0o400)
    ended = command("history", "a.json", "--db", "h")
    assert (ended.status, "readonly" in ended.err) == (2, True)


def test_many_at_once_add_to_one_file(command: Command) -> None:
    """Eight processes create the file and add runs; each has a cell of its own."""
    processes = []
    for day in range(1, 9):
        file = written(f"{day}.json", day, {"a": "x"}, Cell.at("sharing", number=str(day)))
        line = [sys.executable, "-m", "harness", "history", str(file), "--db", "h"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        processes.append(subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL))
    assert [process.wait(60) for process in processes] == [0] * 8
    data = json.loads(command("history", "--db", "h", "--json").out)
    assert (len(data["runs"]), len(data["cells"])) == (8, 8)


def test_nothing_a_guest_says_moves_the_readers_cursor(command: Command) -> None:
    cell = Cell.at("sharing", case=EVIL)
    for day, word in enumerate((f"{EVIL}1x", f"{EVIL}2x", "x"), 1):
        written(f"n/{day}/matrix.json", day, {EVIL: word}, cell, {**LINUX, "release": EVIL})
    for form in ("terminal", "markdown"):
        ended = command("history", "n", "--format", form, "--db", form)
        assert ended.status == 0
        assert all(one.isprintable() or one == "\n" for one in ended.out + ended.err)
        assert "<script" not in ended.out or form == "terminal"
    data = json.loads(command("history", "n", "--json").out)
    assert data["cells"][0]["before"] == f"{EVIL}2x"
    merged = command("merge", "n/1", "n/2", "n/3", "-o", "all.json")
    assert merged.status == 0
    assert "conflict: " in merged.err
    assert all(one.isprintable() or one == "\n" for one in merged.err)


def test_a_macs_row_stands_beside_that_of_a_linux_machine(command: Command) -> None:
    written("linux/matrix.json", 1, {"host": "balanced", "linux-6.1": "balanced"})
    written("mac/matrix.json", 2, {"host": "newest"}, facts=MAC, depth=Depth.QUICK)
    ended = command("merge", "linux", "mac", "-o", "all")
    assert (ended.status, ended.out) == (0, "")
    assert "host of run r2 is host-Darwin-24.1.0\n" in ended.err
    assert "guests: 3, cells: 3, of them inconclusive by conflicts: 0\nwritten: all\n" in ended.err
    assert json.loads(Path("all/matrix.json").read_text())["run"]["catalogue"] == "quick"
    before = {path.name: path.read_bytes() for path in Path("all").iterdir()}
    assert command("merge", "mac/matrix.json", "linux", "-o", "all").status == 0
    assert {path.name: path.read_bytes() for path in Path("all").iterdir()} == before
    assert command("diff", "linux", "all").status == 0


def test_a_merge_that_cannot_be_written_leaves_what_was_there(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (1, 2):
        written(f"{day}.json", day, {f"g{day}": "x"})
    Path("all.json").write_text("before")

    def full(source: str, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    ended = command("merge", "1.json", "2.json", "-o", "all.json")
    assert (ended.status, "No space left on device" in ended.err) == (2, True)
    assert Path("all.json").read_text() == "before"
    assert not [path for path in Path().iterdir() if path.name.startswith(".all")]


def test_runs_of_two_catalogues_differ_in_what_was_asked_only(command: Command) -> None:
    quick = written("quick.json", 1, {"a": "balanced"}, depth=Depth.QUICK)
    found = json.loads(quick.read_text())
    found["run"]["catalogue"] = "full"
    found["cells"].append({**found["cells"][0], "axes": {"protocol": "udp", "family": "ipv4"}})
    Path("full.json").write_text(json.dumps(found))
    ended = command("diff", "quick.json", "full.json", "--json")
    counts = json.loads(ended.out)["counts"]
    assert ended.status == 0
    assert {kind: count for kind, count in counts.items() if count} == {"appeared": 1}
    assert json.loads(command("diff", "full.json", "quick.json", "--json").out)["counts"]["gone"]
