"""Findings in words: tested claims are shown with their cells, the others are counted."""

import re

import pytest
from recorded_matrix import recorded
from test_claims import Guest, linux, matrix, spread

from harness.claims import CLAIMS, settle
from harness.matrix import Matrix
from harness.report import findings, markdown, terminal
from harness.text import Paint

HOSTILE = "\x1b[31m | <b> `rm`\u202e"


def shown(*matrices: Matrix, whole: bool = False) -> str:
    lines = findings.terminal(settle(CLAIMS, matrices), 200, Paint(False), whole=whole)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def test_a_report_shows_what_was_tested_and_counts_the_rest() -> None:
    one = matrix(a=linux("6.1"))
    text = shown(one)
    assert text.startswith("34 claims: 1 CONFIRMED, 0 REFUTED, 0 MIXED, 33 NOT TESTED (3 of them")
    assert re.findall(r"^[AC]\d+", text, re.M) == ["A1", "C1", "C2", "C22"]
    assert "C2  CONFIRMED  Linux spreads TCP and UDP evenly\n    8 cells of distribution on" in text
    assert "NOT TESTED  DragonFly, FreeBSD, NetBSD, macOS\n" in text
    assert (
        text
        in "\n".join(line.rstrip() for line in terminal.render(one, width=200).splitlines()) + "\n"
    )


def test_a_report_of_nothing_is_one_line() -> None:
    text = shown(matrix())
    assert text.count("\n") == 1
    assert "34 NOT TESTED (0 of them in part)" in text
    assert "34 claims: " in markdown.render(matrix())
    assert "| claim |" not in markdown.render(matrix())


def test_the_whole_list_says_who_says_it_and_why_it_is_open() -> None:
    text = shown(whole=True)
    assert all(f"{claim.id}  NOT TESTED  {claim.sentence[:40]}" in text for claim in CLAIMS)
    assert "    source: tdns docs\n" in text
    assert text.count(": no guest of this system was run\n") > 60
    assert "in a jail TCP is spread evenly: no scenario asks this yet:" in text


def test_what_a_claim_is_mixed_by_is_said_with_the_values() -> None:
    cells = spread(specific="newest", wildcard="oldest")
    text = shown(matrix(a=Guest("FreeBSD", "14.1", cells)))
    assert "C7  MIXED by bind  FreeBSD plain" in text
    assert "(by bind: holds at wildcard, not at specific): 4 cells of distribution on a" in text


def test_what_does_not_tell_names_apart_is_said_as_a_doubt() -> None:
    every = spread(specific="newest", wildcard="oldest", protocols=("tcp",))
    pairs = {("ipv4", "specific"), ("ipv6", "wildcard")}
    cells = {
        cell: one
        for cell, one in every.items()
        if (cell.axes["family"], cell.axes["bind"]) in pairs
    }
    assert "MIXED by family or bind" in shown(matrix(a=Guest("FreeBSD", "14.1", cells)))


def test_versions_are_told_with_the_gap_that_is_unknown() -> None:
    old = linux("5.10", specific="newest", wildcard="newest")
    text = shown(matrix(a=old, b=linux("6.1"), c=linux("6.12")))
    assert "C2  MIXED by version" in text
    told = "; Linux 5.10 REFUTED, Linux 6.1 to 6.12 CONFIRMED (between 5.10 and 6.1: unknown)"
    assert told in re.sub(r"\s+", " ", text)


def test_more_guests_than_one_reads_are_counted() -> None:
    guests = {f"g{number}": linux(f"6.{number}") for number in range(9)}
    assert "g3 (Linux 6.3) and 5 more\n" in shown(matrix(guests))


def test_a_page_has_a_row_for_each_claim_that_was_tested() -> None:
    page = markdown.render(recorded())
    rows = re.findall(r"^\| \*\*([AC]\d+)\*\* [^|]* \| (\w+)", page, re.M)
    assert ("C3", "MIXED") in rows
    assert ("C2", "CONFIRMED") in rows
    assert "C25" not in dict(rows)
    for line in page.splitlines():
        if line.startswith("| **"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (4, len(recorded().guests) + 3)


def test_a_guest_cannot_say_more_than_text() -> None:
    one = matrix(a=Guest("Linux", f"6.1{HOSTILE}", spread()))
    text = shown(one)
    assert "\\x1b[31m" in text
    assert not {"\x1b", "\u202e"} & {*text}
    page = "\n".join(findings.page(findings.findings(one)))
    assert "<b>" not in page
    assert not {"\x1b", "\u202e"} & {*page}


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("whole", [False, True])
def test_no_line_is_wider_than_asked(width: int, whole: bool) -> None:
    found = settle(CLAIMS, [recorded()])
    lines = list(findings.terminal(found, width, Paint(False), whole=whole))
    assert max(map(len, lines)) <= width


def test_colour_adds_nothing_but_colour() -> None:
    found = settle(CLAIMS, [recorded()])
    plain, coloured = (
        "\n".join(findings.terminal(found, 80, Paint(on), whole=True)) for on in (False, True)
    )
    assert plain != coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_data_has_what_the_command_line_promises() -> None:
    listed = findings.data(settle(CLAIMS, [recorded()]))
    assert [one["id"] for one in listed] == [claim.id for claim in CLAIMS]
    for one in listed:
        assert {"id", "state", "cells"} <= one.keys()
        if one["state"] != "NOT TESTED":
            assert one["cells"]
