"""Findings in words: tested claims are shown with their cells, the others are counted."""

import re

import pytest
from msgspec.structs import replace
from recorded_matrix import recorded
from test_claims import Guest, linux, matrix, spread

from harness.claims import CLAIMS, settle
from harness.matrix import Matrix
from harness.report import findings, markdown, terminal
from harness.report.claim_links import LINKS
from harness.report.finding_words import plain
from harness.text import Paint

MANY = matrix(
    a=linux("6.1"),
    b=Guest("FreeBSD", "14.1", spread(specific="newest", wildcard="newest")),
    c=Guest("DragonFly", "6.4", spread(specific="balanced", wildcard="newest")),
)

HOSTILE = "\x1b[31m | <b> `rm`\u202e"


def shown(*matrices: Matrix, whole: bool = False) -> str:
    found = findings.ordered(settle(CLAIMS, matrices))
    lines = findings.terminal(found, 200, Paint(False), whole=whole)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def test_a_report_shows_what_was_tested_and_counts_the_rest() -> None:
    one = matrix(a=linux("6.1"))
    text = shown(one)
    every = len(CLAIMS)
    said = f"{every} claims: 1 CONFIRMED, 0 REFUTED, 0 MIXED, {every - 1} NOT TESTED (3 of them"
    assert text.startswith(said)
    assert re.findall(r"^[AC]\d+", text, re.M) == ["C2", "A1", "C1", "C22"]
    assert "C2  CONFIRMED  Linux spreads TCP and UDP evenly\n    8 cells of distribution on" in text
    assert "NOT TESTED  DragonFly, FreeBSD, NetBSD, macOS\n" in text
    assert (
        text
        in "\n".join(line.rstrip() for line in terminal.render(one, width=200).splitlines()) + "\n"
    )


def test_a_report_of_nothing_is_one_line() -> None:
    text = shown(matrix())
    assert text.count("\n") == 1
    assert f"{len(CLAIMS)} NOT TESTED (0 of them in part)" in text
    assert f"{len(CLAIMS)} claims: " in markdown.render(matrix())
    assert "| claim |" not in markdown.render(matrix())


def test_the_whole_list_says_who_says_it_and_why_it_is_open() -> None:
    text = shown(whole=True)
    assert all(f"{claim.id}  NOT TESTED  {plain(claim.sentence)[:40]}" in text for claim in CLAIMS)
    assert "    source: tdns docs\n" in text
    assert text.count(": no guest of this system was run\n") > 60
    assert "bind() of a second local socket fails: no scenario asks this yet:" in text


def test_what_a_claim_is_mixed_by_is_said_with_the_values() -> None:
    cells = spread(specific="newest", wildcard="oldest")
    text = shown(matrix(a=Guest("FreeBSD", "14.1", cells)))
    assert "C7  MIXED  FreeBSD plain: only the first sees connections\n" in text
    assert "\n    depends on the bind address\n" in text
    told = "(depends on the bind address: holds at wildcard, not at specific): 4 cells of"
    assert f"{told} distribution on FreeBSD 14.1" in text


def test_what_does_not_tell_names_apart_is_said_as_a_doubt() -> None:
    every = spread(specific="newest", wildcard="oldest", protocols=("tcp",))
    pairs = {("ipv4", "specific"), ("ipv6", "wildcard")}
    cells = {
        cell: one
        for cell, one in every.items()
        if (cell.axes["family"], cell.axes["bind"]) in pairs
    }
    assert "depends on the address family or on the bind address\n" in shown(
        matrix(a=Guest("FreeBSD", "14.1", cells))
    )


def test_versions_are_told_with_the_gap_that_is_unknown() -> None:
    old = linux("5.10", specific="newest", wildcard="newest")
    text = shown(matrix(a=old, b=linux("6.1"), c=linux("6.12")))
    assert "C2  MIXED  Linux" in text
    assert "depends on the release (5.10 differs from 6.1 \N{EN DASH} 6.12)\n" in text
    told = "; does not hold on Linux 5.10; holds on Linux 6.1 \N{EN DASH} 6.12"
    assert f"{told} (between 5.10 and 6.1: unknown)" in re.sub(r"\s+", " ", text)


def test_many_guests_are_a_span_of_releases() -> None:
    guests = {f"g{number}": linux(f"6.{number}") for number in range(9)}
    assert "36 cells of distribution on Linux 6.0 \N{EN DASH} 6.8\n" in shown(matrix(guests))


def test_what_does_not_hold_or_depends_comes_first() -> None:
    heads = re.findall(
        r"^[AC]\d+  (REFUTED|MIXED|CONFIRMED|NOT TESTED)", shown(MANY, whole=True), re.M
    )
    assert heads == sorted(heads, key=["REFUTED", "MIXED", "CONFIRMED", "NOT TESTED"].index)
    assert {*heads} == {"REFUTED", "MIXED", "CONFIRMED", "NOT TESTED"}
    short = "\n".join(findings.terminal(findings.findings(MANY), 100, Paint(False), news=True))
    assert {*re.findall(r"^[AC]\d+  (\S+)", short, re.M)} == {"REFUTED", "MIXED"}


def test_what_holds_so_far_says_what_is_open() -> None:
    judged = spread(specific="newest", wildcard="newest")
    cells = {cell: replace(one, counts={"spoke_0": 4}) for cell, one in judged.items()}
    some = {"a": Guest("FreeBSD", "14.1", cells), "b": Guest("NetBSD", "10.1", cells)}
    text = shown(matrix(some), whole=True)
    assert "C8  CONFIRMED so far (2 of 4; macOS, OpenBSD not run)  macOS and other" in text


def test_a_tunable_that_changed_with_the_release_is_no_cause() -> None:
    """Its value and the release separate the same cells, and everybody knows of the release."""
    old = replace(linux("4.3", specific="newest", wildcard="newest"), settings={"net.a": 0})
    new = replace(linux("6.1"), settings={"net.a": 1})
    text = shown(matrix(a=old, b=new))
    assert "depends on the release\n" in text or "depends on the release (4.3" in text
    assert "net.a" not in text


def test_causes_are_named_once() -> None:
    every = spread(specific="newest", wildcard="oldest", protocols=("tcp",))
    text = shown(matrix(a=Guest("FreeBSD", "14.1", every), b=Guest("NetBSD", "10.1", every)))
    assert "or on the bind address or on the bind address" not in text
    assert "depends on the bind address\n" in text


def test_a_part_that_holds_says_nothing_against_itself() -> None:
    """A release that a claim leaves out was listed as REFUTED below a part headed CONFIRMED."""
    old = Guest("Linux", "3.2", spread(specific="newest", wildcard="newest"))
    text = re.sub(r"\s+", " ", shown(matrix(a=old, b=linux("6.1"))))
    assert "holds on Linux 6.1" in text
    assert "does not hold on Linux 3.2, which the claim leaves out" in text
    for part in re.findall(r"CONFIRMED Linux ≥ 3.9[^;]*;[^;]*;[^;]*", text):
        assert "REFUTED" not in part


def test_sources_have_addresses_and_sentences_no_markdown() -> None:
    text = shown(MANY, whole=True)
    assert "https://github.com/libuv/libuv/pull/4407\n" in text
    assert not {"`", "*"} & {
        *text.replace("`report DIR --scenario ID`", "").replace("`claims`", "")
    }
    assert "[socket\\(7\\)](https://man7.org/" in markdown.render(recorded())
    known = [claim.source for claim in CLAIMS]
    assert all(any(part in source for source in known) for part in LINKS)


def test_a_page_has_a_row_for_each_claim_that_was_tested() -> None:
    page = markdown.render(recorded())
    rows = re.findall(r"^\| \*\*([AC]\d+)\*\* [^|]* \| (\w+)", page, re.M)
    assert ("C3", "MIXED") in rows
    assert ("C2", "CONFIRMED") in rows
    assert "C25" not in dict(rows)
    for line in page.splitlines():
        if re.match(r"\| \*\*[AC]\d", line):
            assert len(re.findall(r"(?<!\\)\|", line)) == 4


def test_a_guest_cannot_say_more_than_text() -> None:
    one = matrix(a=Guest(f"Linux{HOSTILE}", f"x{HOSTILE}", spread()))
    text = shown(one, whole=True)
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
