"""What a person reads first: answers, a line for each scenario, and rows only on request."""

import contextlib
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from recorded_matrix import recorded
from test_claims import Guest, linux, matrix, spread
from test_cli import Command, command
from test_merge import MAC, run

from harness.claims import CLAIMS
from harness.matrix import Matrix, Run
from harness.matrix.merge import merge
from harness.model import Cell, Depth, Judgement, State, Trial
from harness.report import answer_table, brief, markdown, terminal
from harness.report.answers import AnswerKind, answers
from harness.report.grid import legend, sections
from harness.report.provenance import headline
from harness.report.row_choice import RowChoice
from harness.text import Paint

__all__ = ["command"]  # a fixture, found by its name

ROOT = Path(__file__).parent.parent

DASH = "\N{EN DASH}"

MIXED = matrix(
    old=linux("5.10"),
    new=linux("6.1", specific="newest", wildcard="balanced"),
    bsd=Guest("FreeBSD", "14.1", spread(specific="newest", wildcard="newest")),
)


@pytest.mark.parametrize("width", [60, 80, 100, 140, 300])
def test_the_answers_fit_and_no_column_is_cut(width: int) -> None:
    for one in (recorded(), MIXED):
        table = answers(one)
        lines = list(answer_table.terminal(table, width, Paint(False)))
        assert max(map(len, lines)) <= width
        text = re.sub(r"\s+", "", "".join(lines))
        for column in table.columns:
            assert text.count(f"SO_{column.option.upper()}") >= 1
        if width == 300:
            for row in (row for group in table.groups for row in group.rows):
                kinds = {one.kind for some in row.answers for one in some}
                shown = any(line.startswith(f"  {row.asked.asks}  ") for line in lines)
                assert shown or kinds == {AnswerKind.NOT_ASKED}


def test_answers_have_marks_and_releases_as_spans() -> None:
    text = "\n".join(answer_table.terminal(answers(MIXED), 120, Paint(False)))
    told = r"\(TCP\) +± balanced wildcard; newest specific \(6\.1\) +→ newest$"
    assert re.search(told, text, re.M)
    assert "→ balanced (5.10)" in text
    assert "worker dies" not in text, "nobody asked"
    page = "\n".join(answer_table.page(answers(MIXED)))
    assert re.search(r"\| several workers listen \\\(TCP\\\) \(`distribution`\) \| ± ", page)
    assert len({line.count("|") for line in page.splitlines() if line.startswith("|")}) == 1


def test_a_merge_is_summed_up_in_a_line_for_each_scenario() -> None:
    found = brief.brief(MIXED)
    assert found.heads == (("Linux", f"5.10 {DASH} 6.1"), ("FreeBSD", "14.1"))
    (row,) = found.rows
    assert (row.scenario, row.texts) == ("distribution", ("balanced 12, newest 4", "newest"))
    text = terminal.render(MIXED)
    assert "rows: --full, or --scenario ID, --guest NAME, --differs" in text
    assert "specific" not in text.partition("rows: ")[0].partition("distribution")[2]
    assert "specific" in terminal.render(MIXED, choice=RowChoice(full=True)).partition("bsd")[2]
    assert "rows: " not in terminal.render(matrix(a=linux("6.1"))), "one system has its rows"


def test_no_state_hides_behind_a_word() -> None:
    cells = {
        Cell.at("sharing", number="1"): Judgement(State.MEASURED, "refused:EACCES"),
        Cell.at("sharing", number="2"): Judgement(State.INCONCLUSIVE, why="w"),
        Cell.at("sharing", number="3"): Judgement(State.NOT_APPLICABLE, why="w"),
        Cell.at("takeover", number="4"): Judgement(State.NOT_APPLICABLE, why="w"),
    }
    found = brief.brief(matrix(a=Guest("Linux", "6.1", cells)))
    assert [row.texts for row in found.rows] == [("refused, ~ 1",), (DASH,)]


def test_rows_are_chosen_by_guest_scenario_and_difference() -> None:
    one = terminal.render(MIXED, choice=RowChoice(guests=("bsd",)))
    assert ("FreeBSD" in one, "Linux" in one, f"{len(CLAIMS)} claims" in one) == (
        True,
        False,
        False,
    )
    apart = terminal.render(MIXED, choice=RowChoice(differs=True))
    rows = re.findall(r"^(≠|  ) (\S.*specific.*|\S.*wildcard.*)$", apart, re.M)
    assert {mark for mark, _ in rows} == {"≠"}
    assert "wildcard" not in "".join(text for _, text in rows)
    page = markdown.render(MIXED, RowChoice(scenarios=("distribution",)))
    assert page.count("| ≠ ") == apart.count("\n≠ ")


def test_systems_are_no_difference_within_one() -> None:
    """Nearly every row of a merge had the mark, because FreeBSD is not Linux."""
    some = {"a": linux("6.1"), "b": Guest("FreeBSD", "14.1", spread(specific="newest"))}
    (section,) = sections(matrix(some))
    assert not any(row.differs for row in section.rows)
    assert "≠ guests of one system differ" in legend(matrix(some))


def test_what_was_not_asked_says_so_and_comes_last() -> None:
    more = {**spread(), Cell.at("sharing", case="both"): Judgement(State.MEASURED, "shared")}
    one = matrix(a=linux("5.10"), b=Guest("Linux", "6.1", more))
    shown = terminal.render(one)
    assert re.search(r"^  all +· +shared$", shown, re.M)
    assert "· not asked" in legend(one)
    assert "| · | shared |" in markdown.render(one)
    assert "· not asked" not in legend(matrix(a=linux("5.10")))
    cells = [*spread()]
    few = {cell: Judgement(State.MEASURED, "balanced") for cell in cells[2:]}
    odd = {cells[0]: Judgement(State.MEASURED, "newest"), **few}
    mixed = matrix(a=Guest("Linux", "5.10", few), b=Guest("Linux", "6.1", odd))
    counts = [len(row.cells) for row in sections(mixed)[0].rows]
    assert counts == sorted(counts, reverse=True)


def test_a_merge_of_two_catalogues_names_the_guests_of_each() -> None:
    runs = [run(1, {"a": "x", "b": "x"}, depth=Depth.QUICK), run(2, {"b": "x"})]
    said = headline(merge([*runs, run(3, {"host": "y"}, {"host": MAC})]).matrix)
    assert ", mixed (full: b, host; quick: a): 3 measured; merged from 3 runs" in said
    assert ", quick: 2 measured; merged from 1 run" in headline(merge(runs[:1]).matrix)
    assert headline(runs[0]).endswith(", quick: 2 measured")


def big() -> Matrix:
    """Return a matrix whose rows and notes have no room in a comment."""
    cells = [Cell.at("sharing", number=str(number)) for number in range(2000)]
    trials = [
        Trial(f"g{guest}", cell, (Judgement(State.MEASURED, f"word{guest}{at}"),), "t", 0.1)
        for guest in range(3)
        for at, cell in enumerate(cells)
    ]
    known = {f"g{guest}": {"system": "Linux", "release": f"6.{guest}"} for guest in range(3)}
    return Matrix.of(Run("r", "t", Depth.FULL), known, trials)


def test_markdown_has_room_in_a_comment_and_says_what_is_left_out() -> None:
    assert len(markdown.render(recorded())) < markdown.LIMIT
    page = markdown.render(big())
    assert len(page) < markdown.LIMIT
    assert re.search(r"^Left out, because a comment on GitHub has no room: the rows", page, re.M)
    assert "| **sharing** | word" in page, "a line for each scenario has room"
    whole = markdown.render(big(), RowChoice(full=True))
    assert len(whole) > markdown.LIMIT
    assert "Left out" not in whole


def test_the_command_line_chooses_rows(command: Command) -> None:
    asked = ("run", "--guests", "guests", "--scenario", "distribution")
    command(*asked, "one", "two", "--out", "a")
    assert "\none: " not in command("report", "a", "--guest", "two").out
    assert command("report", "a", "--format", "markdown", "--differs").status == 0
    for arguments, said in (
        (("--guest", "tow"), "did you mean two"),
        (("--scenario", "distributon"), "did you mean distribution"),
        (("--format", "csv", "--differs"), "csv takes no --full"),
    ):
        ended = command("report", "a", *arguments)
        assert (ended.status, ended.out, said in ended.err) == (2, "", True), ended.err


@pytest.mark.parametrize(
    ("columns", "width"), [("70", 70), ("20", 60), ("0", 100), ("x", 100), ("9" * 99, 100)]
)
def test_a_pipe_is_as_wide_as_columns_says(
    command: Command, monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    command("run", "one", "--guests", "guests", "--scenario", "distribution", "--out", "a")
    monkeypatch.setenv("COLUMNS", columns)
    widest = max(map(len, command("report", "a").out.splitlines()))
    assert width * 0.8 < widest <= width
    command("report", "a", "-o", "file")
    assert Path("file").read_text() == command("report", "a").out


def test_a_span_of_releases_stays_on_one_line() -> None:
    text = "\n".join(answer_table.terminal(answers(recorded()), 60, Paint(False)))
    assert not re.search(f" {DASH}$", text, re.M)


def test_a_long_report_on_a_terminal_goes_through_the_pager(command: Command) -> None:
    """Only if $PAGER is set; colours survive it, and a short screen decides."""
    command("run", "one", "--guests", "guests", "--scenario", "distribution", "--out", "a")
    for pager, mark in (("sed s/^/paged:/", True), ("", False)):
        keyboard, screen = pty.openpty()
        termios.tcsetwinsize(screen, (5, 80))
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "PAGER": pager}
        line = [sys.executable, "-m", "harness", "report", "a"]
        process = subprocess.Popen(line, env=environment, stdin=screen, stdout=screen)
        os.close(screen)
        said = b""
        with contextlib.suppress(OSError):  # Linux reports EIO when the other end is closed
            while part := os.read(keyboard, 1 << 16):
                said += part
        assert process.wait(60) == 0
        os.close(keyboard)
        assert (b"paged:" in said, f"{len(CLAIMS)} claims".encode() in said) == (mark, True)


def test_a_guest_that_could_not_start_makes_no_summary_and_says_why() -> None:
    """A Linux beside a Plan 9 that nobody could start is one system with its rows."""
    refused = {Cell.at("sharing", case="both"): Judgement(State.NOT_RUN, why="no hypervisor")}
    plan9 = Guest("Plan9", None, refused)
    assert not brief.summarised(matrix(a=linux("6.1"), b=plan9))
    both = matrix(a=linux("6.1"), b=plan9, c=Guest("FreeBSD", "14.1", spread()))
    assert brief.summarised(both)
    for text in (terminal.render(both), markdown.render(both)):
        assert "b: Plan9, not run: no hypervisor" in text.replace("qemu, ", "")
