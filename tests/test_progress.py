"""Progress is a table on a terminal and plain lines elsewhere, and a guest cannot steer either."""

import io
import logging

import pytest
from rich.console import Console

from harness.errors import Phase
from harness.model import Cell, Judgement, State, Trial
from harness.run.progress import Board, LogLines, following

CELL = Cell.at("distribution", family="ipv4")


def trial(guest: str, state: State, why: str | None = None) -> Trial:
    verdict = "balanced" if state is State.MEASURED else None
    return Trial(guest, CELL, (Judgement(state, verdict, why),), "t", 0.1)


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=100), file


def test_lines_name_each_phase_once_and_what_went_wrong() -> None:
    into, file = console(terminal=False)
    lines = LogLines(into)
    lines.phase("one", Phase.BOOT)
    lines.phase("one", Phase.BOOT)
    lines.trial(trial("one", State.MEASURED), 1, 3)
    lines.trial(trial("one", State.INFRASTRUCTURE, "lost \x1b[2J"), 2, 3)
    lines.ended("one", "done")
    said = [line.split(" ", 1)[1] for line in file.getvalue().splitlines()]
    assert said == [
        "one: boot",
        r"one: 2 of 3: distribution family=ipv4: infrastructure: lost \x1b[2J",
        "one: done",
    ]


def test_the_board_shows_every_guest_what_it_does_and_its_count() -> None:
    into, file = console(terminal=True)
    board = Board(into, ["one", "two"])
    board.phase("one", Phase.SCENARIO, "takeover")
    board.trial(trial("one", State.MEASURED), 1, 9)
    board.phase("two", Phase.BOOT)
    board.ended("two", "not run")
    into.print(board)
    _, one, two = file.getvalue().splitlines()
    assert [word for word in one.split("  ") if word.strip()][:3] == ["one", "takeover", "0 s"]
    assert "1/9" in one
    assert "1 measured" in one
    assert "not run" in two


def test_off_a_terminal_nothing_is_animated_and_the_log_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = logging.getLogger("harness.run.engine")
    with following(["one"]) as face:
        face.phase("one", Phase.PUSH)
        log.warning("one: lost\x1b[31m it")
        log.info("not this")
    log.warning("nor that")
    said = capsys.readouterr()
    assert said.out == ""
    assert [line.split(" ", 1)[1] for line in said.err.splitlines()[:2]] == [
        "one: push",
        r"one: lost\x1b[31m it",
    ]
    assert "not this" not in said.err
