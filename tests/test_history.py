"""Cells over many runs: steady, flaky, changed by a new kernel, or stale."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cost import cheap
from test_report import HOSTILE

from harness.errors import FileError
from harness.matrix import Matrix, Run, encode
from harness.matrix.history import History, PastRun, Stability, Track, Visit, history
from harness.matrix.merge import merge
from harness.model import Cell, Depth, Judgement, State, Trial
from harness.report import history as report
from harness.store import archive as archives
from harness.store.archive import archive, night
from harness.text import Paint

CELL = Cell.at("distribution", protocol="tcp", family="ipv4")

Said = str | State | None
"""A cell's result in a run: a word, a state, or None if it was not asked."""


def matrix(number: int, said: Said, release: str = "6.1", cell: Cell = CELL) -> Matrix:
    run = Run(f"r{number:03}", f"2026-11-{number + 1:02}T02:00:00+00:00", Depth.FULL)
    trials = []
    if said is not None:
        judgement = (
            Judgement(said, why="because")
            if isinstance(said, State)
            else Judgement(State.MEASURED, said)
        )
        trials = [Trial("a", cell, (judgement,), "t", 0.1)]
    return Matrix.of(run, {"a": {"system": "Linux", "release": release}}, trials)


def nights(said: Sequence[Said], releases: Sequence[str] = ()) -> list[PastRun]:
    found = []
    for number, one in enumerate(said):
        release = releases[number] if releases else "6.1"
        found.append(night(encode(matrix(number, one, release)), "m"))
    return found


def track(said: Sequence[Said], releases: Sequence[str] = ()) -> Track:
    (one,) = history(nights(said, releases)).tracks
    return one


@pytest.mark.parametrize(
    ("said", "standing", "k", "n"),
    [
        (["balanced"] * 4, Stability.STEADY, 4, 4),
        (["balanced", "newest", "balanced"], Stability.FLAKY, 2, 3),
        (["balanced", "balanced", "newest"], Stability.CHANGED, 1, 3),
        (["balanced", "newest", "newest"], Stability.STEADY, 2, 3),
        (["balanced", State.INCONCLUSIVE], Stability.STALE, 1, 1),
        (["balanced", None, None], Stability.STALE, 1, 1),
        (["balanced", State.NOT_RUN, "balanced"], Stability.STEADY, 2, 2),
        ([State.NOT_APPLICABLE] * 3, Stability.NEVER, 0, 0),
        ([None, None, "balanced"], Stability.NEW, 1, 1),
        (["balanced"], Stability.STEADY, 1, 1),
        (["reset:3/100", "reset:9/100"], Stability.STEADY, 2, 2),
    ],
)
def test_what_is_said_of_a_cell(said: list[Said], standing: Stability, k: int, n: int) -> None:
    one = track(said)
    assert (one.standing, one.k, one.n) == (standing, k, n)


def test_another_word_on_another_kernel_is_a_change_and_no_flicker() -> None:
    said = ["balanced", "newest", "balanced", "newest"]
    assert track(said, ["6.1", "6.12"] * 2).standing is Stability.CHANGED
    assert track(said, ["6.1"] * 4).standing is Stability.FLAKY


def test_an_age_is_counted_from_the_newest_run_on() -> None:
    one = track(["balanced", State.INFRASTRUCTURE, State.INFRASTRUCTURE])
    assert (one.runs_ago, one.days_ago, one.state) == (2, 2, State.INFRASTRUCTURE)
    assert track(["balanced", None]).state is None


def test_only_the_last_runs_count_in_whatever_order_they_come() -> None:
    every = nights(["newest", "balanced", "newest", "balanced", "balanced", "balanced"])
    (one,) = history(reversed(every), last=3).tracks
    assert (one.standing, one.n) == (Stability.STEADY, 3)
    assert history([*every, *every]) == history(every)


def test_a_file_keeps_runs_once_and_the_newest_judgement_of_them(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    for one in nights(["balanced", "newest"]):
        with archive(path) as kept:
            kept.add([one, one])
    again = night(encode(matrix(1, "balanced")), "m")
    with archive(path) as kept:
        kept.add([again])
        found = list(kept.nights(30))
    assert found == [*nights(["balanced"]), again]


def test_a_broken_run_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    (good,) = nights(["balanced"])
    bad = PastRun("bad", "t", {("a", CELL): Visit(None, State.MEASURED, object())})  # type: ignore[arg-type]
    with archive(path) as kept:
        kept.add([good])
    with pytest.raises((FileError, sqlite3.Error)), archive(path) as kept:
        kept.add([bad])
    with archive(path) as kept:
        assert list(kept.nights(30)) == [good]


def test_who_adds_is_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LOCKED_SECONDS", 0.1)
    path = tmp_path / "history.sqlite"
    one, other = nights(["balanced", "newest"])

    def meanwhile() -> Iterator[PastRun]:
        with pytest.raises(FileError, match="locked"), archive(path) as second:
            second.add([other])
        yield one

    with archive(path) as first:
        first.add(meanwhile())
        assert list(first.nights(30)) == [one]


def test_several_may_make_the_file_at_once(tmp_path: Path) -> None:
    def make(path: Path) -> bool:
        barrier.wait(60)
        with archive(path) as made:
            return not list(made.nights(1))

    barrier = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        for number in range(25):
            assert all(pool.map(make, [tmp_path / f"{number}.sqlite"] * 4))


def test_other_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no database, but long enough to be looked at as one" * 9)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE run (id)")
    newer = tmp_path / "newer.sqlite"
    with archive(newer):
        pass
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 9")
    for path, said in ((text, "not a database"), (other, "another program's"), (newer, "newer")):
        with pytest.raises(FileError, match=said), archive(path):
            pass
    with pytest.raises(FileError, match="unable to open"), archive(tmp_path / "no" / "file"):
        pass


def shown(found: History) -> str:
    return "\n".join(report.terminal(found, 100, Paint(False), whole=True))


def test_what_is_to_be_looked_at_comes_first() -> None:
    flaky, steady = Cell.at("fallback", bind="specific"), Cell.at("sharing", bind="specific")
    every = [
        night(encode(join(matrix(number, word, cell=flaky), matrix(number, "x", cell=steady))), "m")
        for number, word in enumerate(("newest", "oldest", "newest"))
    ]
    text = shown(history(every))
    assert text.startswith("3 runs (2026-11-01T02:00:00+00:00 to 2026-11-03T02:00:00+00:00")
    assert text.index("newest 2 of 3, changed 2 times: specific") < text.index("x 3 of 3")
    page = "\n".join(report.page(history(every), steady=False))
    assert "| flaky | a | fallback |" in page
    assert "sharing" not in page


def join(one: Matrix, other: Matrix) -> Matrix:
    return Matrix(1, one.run, one.guests, (*one.cells, *other.cells))


def test_nothing_a_guest_says_reaches_the_reader_raw() -> None:
    cell = Cell.at(HOSTILE, case=HOSTILE)
    found = history([night(encode(matrix(0, HOSTILE.replace("\ud800", ""), HOSTILE[:-1])), "m")])
    visits = {(HOSTILE, cell): Visit(HOSTILE, State.MEASURED, HOSTILE)}
    found = history([PastRun(HOSTILE, HOSTILE, visits), *nights(["balanced"])])
    for text in (shown(found), "\n".join(report.page(found))):
        assert all(character.isprintable() or character == "\n" for character in text)
        assert "<script" not in text.replace(r"\<", "<") or text == shown(found)
    assert max(map(len, shown(found).splitlines())) <= 100


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"schema": 9, "run": 0, "cells": 0}'])
def test_a_file_that_is_no_matrix_is_said(content: bytes) -> None:
    with pytest.raises(FileError, match="m"):
        night(content, "m")


def test_a_hundred_runs_take_less_than_two_seconds(tmp_path: Path) -> None:
    cells = [Cell.at("sharing", number=str(number)) for number in range(1000)]
    trials = [
        Trial("a", cell, (Judgement(State.MEASURED, "shared", counts={"flows": 9}),), "t", 0.1)
        for cell in cells
    ]
    facts = {"a": {"system": "Linux", "release": "6.1"}}
    files = [
        encode(Matrix.of(Run(f"r{number}", f"t{number:03}", Depth.FULL), facts, trials))
        for number in range(100)
    ]

    def looked_at() -> History:
        with archive(tmp_path / "db") as kept:
            kept.add(night(content, "m") for content in files)
            return history(kept.nights(100), 100)

    found = cheap(looked_at, 2)
    text = json.dumps(report.data(found), default=str)
    assert (len(found.tracks), found.tracks[0].k) == (1000, 100)
    assert len(text) > 1000


def test_a_run_counts_once_even_if_a_merge_contains_it() -> None:
    """Otherwise a cell that one run measured was `2 of 2`, and the merge was a run of its own."""
    runs = [matrix(number, word) for number, word in ((1, "x"), (2, "y"))]
    merged = merge(runs).matrix
    alone = [night(encode(one), "m") for one in runs]
    both = night(encode(merged), "m")
    assert history([*alone, both]) == history(alone)
    assert history([both]).runs == ((merged.run.id, merged.run.started),)
    (track,) = history([alone[1], both]).tracks
    assert (track.word, track.k, track.n) == ("y", 1, 1)


def test_two_merges_of_one_run_do_not_count_it_twice(tmp_path: Path) -> None:
    first, later = matrix(1, "x"), matrix(3, "x", cell=Cell.at("sharing", bind="wildcard"))
    merges = [merge([first]).matrix, merge([first, later]).matrix]
    nights = [night(encode(one), "m") for one in merges]
    with archive(tmp_path / "h") as kept:
        kept.add(nights)
        stored = list(kept.nights(9))
    for every in (nights, stored):
        assert {(one.k, one.n) for one in history(every).tracks} == {(1, 1)}
    assert history(nights) == history(stored)


def test_a_reader_gets_the_news_and_the_number_of_the_rest() -> None:
    steady = Cell.at("sharing", bind="specific")
    every = [
        night(encode(join(matrix(number, word), matrix(number, "x", cell=steady))), "m")
        for number, word in ((1, "a"), (2, "b"))
    ]
    found = history(every)
    text = "\n".join(report.terminal(found, 100, Paint(False)))
    assert "changed in the newest run" in text
    assert text.endswith("not listed: 1 steady; --full lists them")
    whole = "\n".join(report.terminal(found, 100, Paint(False), whole=True))
    assert ("sharing" in text, "sharing" in whole) == (False, True)
