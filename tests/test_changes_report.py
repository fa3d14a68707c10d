"""Changes in words: cells that changed in the same way share a line, and nothing is lost."""

import json
import re
import time
from collections.abc import Sequence

import msgspec
import pytest
from msgspec.structs import replace
from test_changes import moved, no
from test_claims import Guest, matrix, measured

from harness import matrix as matrices
from harness import text
from harness.claims import CLAIMS
from harness.matrix import Matrix
from harness.matrix.changes import compare, releases
from harness.model import Cell, Depth, Judgement, State
from harness.report import changes, markdown, terminal
from harness.scenarios import CATALOGUE
from harness.text import Paint

HOSTILE = "\x1b[31m | <b> `rm`\u202e @all"


def told(*found: Matrix, width: int = 200, colour: bool = False) -> str:
    comparison = compare(*found) if len(found) == 2 else releases(found[0])
    lines = changes.terminal(found, comparison, width, Paint(colour))
    return "".join(f"{line.rstrip()}\n" for line in lines)


def paged(*found: Matrix) -> str:
    comparison = compare(*found) if len(found) == 2 else releases(found[0])
    return "\n".join(changes.page(found, comparison)) + "\n"


def queued(**odd: Judgement) -> dict[Cell, Judgement]:
    """Return 18 cells; those named by `family_bind_failure` differ."""
    return {
        Cell.at("failure-queued", option="reuseport", family=family, bind=bind, failure=failure): (
            odd.get(f"{family}_{bind}_{failure}", odd.get("every", measured("reset")))
        )
        for family in ("ipv4", "ipv6", "mapped")
        for bind in ("specific", "wildcard", "mixed")
        for failure in ("kill", "close")
    }


def guests(cells: dict[Cell, Judgement], count: int = 1) -> Matrix:
    return matrix({f"g{number}": Guest("Linux", "6.1", cells) for number in range(count)})


def test_cells_that_changed_in_the_same_way_share_a_line() -> None:
    new = queued(every=measured("inherited"), ipv6_wildcard_kill=measured("closed"))
    shown = told(guests(queued()), guests(new))
    assert "18 cells measured both times, 18 verdicts changed\n" in shown
    lines = re.findall(r"^  failure-queued  (.*)$", shown, re.M)
    assert "reset → closed: reuseport · ipv6 · wildcard · kill" in lines
    assert len(lines) == 4
    assert sum(int(n) for line in lines for n in re.findall(r"\((\d+) cells\)", line)) == 17


def test_a_line_names_its_guests_if_there_are_several() -> None:
    every = queued(every=measured("inherited"))
    places = "reuseport · ipv4 ipv6 mapped · specific wildcard mixed · kill close"
    assert f"reset → inherited: {places} (18 cells)\n" in told(guests(queued()), guests(every))
    shown = told(guests(queued(), 2), guests(every, 2))
    assert f"reset → inherited: g0 g1, {places} (36 cells)\n" in shown
    shown = told(guests(queued(), 9), guests(every, 9))
    assert f"reset → inherited: all 9 guests, {places} (162 cells)\n" in shown


def test_counts_are_shown_as_shares_and_reasons_once() -> None:
    old = {
        Cell.at("failure-arrivals", bind=bind): measured("reset:1/10") for bind in ("a", "b", "c")
    }
    new = dict(
        zip(
            old, (measured("lost:1/4"), no(State.INCONCLUSIVE), no(State.INCONCLUSIVE)), strict=True
        )
    )
    shown = told(guests(old), guests(new))
    assert "verdict changed\n  failure-arrivals  reset 10% → lost 25%: a\n" in shown
    where = "failure-arrivals  reset 10% → inconclusive (why inconclusive): b c (2 cells)\n"
    assert f"measured before, not now\n  {where}" in shown
    assert "; 2 measured before, not now\n" in shown
    backwards = told(guests(new), guests(old))
    where = "failure-arrivals  inconclusive → reset 10%: b c (2 cells)\n"
    assert f"measured now, not before\n  {where}" in backwards


def test_shares_that_differ_are_shown_with_the_chance_of_it() -> None:
    at = Cell.at("failure-flows", member="middle")
    old, new = (
        guests({at: replace(moved(some, 160), statistics={"moved_of_survivors": some / 160})})
        for some in (103, 16)
    )
    shown = told(old, new)
    assert re.search(
        r"^  failure-flows  reshuffled 64% → reshuffled 10% \(p = \de-\d\d\): ", shown, re.M
    )
    assert "no verdict changed; 1 same verdict, different share" in shown


def test_what_was_asked_once_is_only_counted_if_it_is_much() -> None:
    some = {Cell.at("sharing", case=case): measured("shared") for case in ("a", "b")}
    many = {Cell.at("takeover", a=str(n), b=str(n)): measured("shared") for n in range(9)}
    shown = told(guests({}), guests(some | many))
    assert "not asked before\n  sharing  case a b (2 cells)\n  takeover  9 cells\n" in shown
    assert "not asked now\n  sharing  case a b (2 cells)\n" in told(guests(some), guests({}))
    assert "no cell was measured both times; 11 not asked before\n" in shown


def test_guests_and_catalogues_that_differ_are_said_once() -> None:
    cells = queued()
    old = matrix(a=Guest("Linux", "6.1", cells, {"net.x": None}), b=Guest("Linux", "6.2", cells))
    new = matrix(a=Guest("Linux", "6.3", cells, {"net.x": 1}, "host"))
    quick = replace(new, run=replace(new.run, catalogue=Depth.QUICK))
    shown = told(old, quick)
    assert "in the old run only: b (18 cells)\n" in shown
    assert "a: Linux 6.1 → Linux 6.3; by qemu → by host; net.x absent → 1\n" in shown
    differ = "the catalogues differ (full and quick), so some cells were asked in one run only"
    assert differ in shown
    assert "in the new run only: b (18 cells)\n" in told(quick, old)
    assert "differ (" not in told(old, new)


INHERITS = queued(every=measured("inherited"))

FOUR = matrix(
    d=Guest("Linux", "7.3", INHERITS, {"net.x": 1}),
    a=Guest("Linux", "5.10", queued()),
    c=Guest("Linux", "6.12", INHERITS, {"net.x": 1}),
    b=Guest("Linux", "6.1", INHERITS, {"net.x": None}),
    e=Guest("NetBSD", "10", queued()),
)
"""Four releases of a system. From one to the next verdicts change, then a tunable, then nothing."""


def test_releases_are_told_pair_by_pair() -> None:
    where = "reuseport · ipv4 ipv6 mapped · specific wildcard mixed · kill close"
    cells = "18 cells measured both times"
    assert told(FOUR).splitlines()[1:] == [
        "",
        f"between a (Linux 5.10) and b (Linux 6.1): {cells}, 18 verdicts changed",
        "verdict changed",
        f"  failure-queued  reset → inherited: {where} (18 cells)",
        "",
        f"between b (Linux 6.1) and c (Linux 6.12): {cells}, no verdict changed",
        "  net.x absent → 1",
        "",
        f"between c (Linux 6.12) and d (Linux 7.3): {cells}, no verdict changed",
    ]


def test_a_report_of_several_releases_tells_what_changed_and_one_of_one_does_not() -> None:
    shown = terminal.render(FOUR, width=200)
    _, _, alone = told(FOUR).partition("\n\n")
    assert f"\n\n{alone}\n{len(CLAIMS)} claims" in shown
    page = markdown.render(FOUR)
    assert page.count("\nbetween ") == 3
    assert "\n| verdict changed | failure-queued | reset → inherited | reuseport" in page
    assert "no verdict changed; net.x absent → 1.\n" in page
    for render in (terminal.render, markdown.render):
        assert "\nbetween " not in render(guests(queued()))


def test_one_release_is_nothing_to_compare() -> None:
    assert "this run has no two releases of one system to compare\n" in told(guests(queued()))


def test_a_page_has_a_row_for_each_line() -> None:
    page = paged(guests(queued()), guests(queued(every=measured("inherited"))))
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len(rows) == 3
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}
    assert rows[2].startswith("| verdict changed | failure-queued | reset → inherited | reuseport")
    assert rows[2].endswith("| 18 |")
    assert "|" not in paged(guests(queued()), guests(queued()))


def hostile() -> Sequence[Matrix]:
    at = Cell.at(HOSTILE, **{HOSTILE: HOSTILE})
    return [
        matrix(
            {HOSTILE: Guest(HOSTILE, release + HOSTILE, {at: judgement}, {f"a.{HOSTILE}": 1})},
            run=HOSTILE,
        )
        for release, judgement in (
            ("1", measured("x" + HOSTILE)),
            ("2", Judgement(State.INCONCLUSIVE, why=HOSTILE)),
        )
    ]


def test_a_guest_cannot_say_more_than_text() -> None:
    for shown in (told(*hostile()), paged(*hostile())):
        assert all(character.isprintable() or character == "\n" for character in shown)
        assert "x1b" in shown
    page = paged(*hostile())
    assert "<b>" not in page
    assert " @all" not in page


SHOWN = [
    (guests(queued(), 9), guests(queued(ipv6_mixed_kill=no(State.INFRASTRUCTURE)), 9)),
    (FOUR,),
    hostile(),
]


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("found", SHOWN)
def test_no_line_is_wider_than_asked(found: Sequence[Matrix], width: int) -> None:
    assert max(map(text.cells, told(*found, width=width).splitlines())) <= width


@pytest.mark.parametrize("found", SHOWN)
def test_colour_adds_nothing_but_colour(found: Sequence[Matrix]) -> None:
    coloured = told(*found, colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == told(*found)


def test_data_has_every_cell_that_changed() -> None:
    old, new = guests(queued()), guests(queued(ipv4_mixed_kill=measured("closed")))
    listed = json.loads(msgspec.json.encode(changes.data([old, new], compare(old, new))))
    assert listed["counts"]["changed"] == 1
    (pair,) = listed["pairs"]
    (change,) = pair["changes"]
    assert pair["old"]["guest"] == "g0"
    assert (change["kind"], change["p"]) == ("changed", None)
    assert change["axes"] == {
        "option": "reuseport",
        "family": "ipv4",
        "bind": "mixed",
        "failure": "kill",
    }
    assert (change["old"]["verdict"], change["new"]["verdict"]) == ("reset", "closed")


def test_two_runs_of_10_000_cells_take_less_than_two_seconds() -> None:
    """This covers reading, comparing (a thousand shares are tested), folding, and both formats."""
    words = ("balanced", "newest", "oldest", "skewed")

    def file(odd: int) -> bytes:
        cells = {
            Cell.at("distribution", family=family, number=str(number)): measured(
                words[(number % 3 + (number % odd == 0)) % 4]
            )
            for number in range(450)
            for family in ("ipv4", "ipv6")
        }
        flows = {
            Cell.at("failure-flows", number=str(number)): moved(number + odd, 400)
            for number in range(100)
        }
        return matrices.encode(guests(cells | flows, 10))

    files = file(7), file(11)
    begun = time.process_time()
    old, new = map(matrices.decode, files)
    assert len(old.cells) == 10_000
    shown, page = told(old, new), paged(old, new)
    assert time.process_time() - begun < 2
    assert "verdicts changed" in shown
    assert "verdicts changed" in page
    assert (shown, page) == (told(old, new), paged(old, new))


def test_every_scenario_has_a_subject_for_a_sentence() -> None:
    assert all(scenario.subject for scenario in CATALOGUE.values())


def test_a_changed_verdict_is_said_once_in_words_with_its_setting() -> None:
    at = Cell.at("failure-queued", option="reuseport", tunables="net.x=1")
    old = guests({**queued(), at: measured("reset")})
    new = guests({**queued(every=measured("closed")), at: measured("inherited:3/4")})
    shown = told(old, new)
    assert "\nqueued connections: closed instead of reset\n" in shown
    assert "\nwith net.x=1, queued connections: inherited instead of reset\n" in shown
    assert shown.count(" instead of ") == 2
    assert "- queued connections: closed instead of reset\n" in paged(old, new)
