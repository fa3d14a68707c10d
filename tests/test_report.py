"""Reports show each state differently, merge only equal cells, and make hostile text safe."""

import re
from collections.abc import Mapping

import msgspec
import pytest
from cost import cheap

from harness import text
from harness.matrix import Facts, Matrix, Run, decode
from harness.model import Cell, Depth, Judgement, State, Trial
from harness.report import grid, markdown, terminal
from harness.report.formats import FORMATS
from harness.report.report import Report

HOSTILE = (
    "\x1b[31m\x00\r\nx | `rm` <script>&amp; \u202eevil\u2066 @all #1 :tada: http://x [^9] \ud800"
)

RUN = Run("r1", "2026-11-22T00:00:00+00:00", Depth.QUICK)


def word(verdict: str) -> Judgement:
    return Judgement(State.MEASURED, verdict, counts={"member_0": 100}, statistics={"p": 0.25})


def matrix(cells: Mapping[tuple[str, Cell], Judgement], **facts: Facts) -> Matrix:
    guests = {guest: facts.get(guest, {"system": "Linux", "release": "6.1"}) for guest, _ in cells}
    trials = [Trial(guest, cell, (one,), "t", 0.1) for (guest, cell), one in cells.items()]
    return Matrix.of(RUN, guests, trials)


def cell(family: str = "ipv4", bind: str = "specific", **more: str) -> Cell:
    return Cell.at("distribution", protocol="tcp", family=family, bind=bind, **more)


def square(**odd: str) -> Matrix:
    """Return four cells on one guest; those named by `family_bind` differ."""
    return matrix(
        {
            ("a", cell(family, bind)): word(odd.get(f"{family}_{bind}", "balanced"))
            for family in ("ipv4", "ipv6")
            for bind in ("specific", "wildcard")
        }
    )


def rows(one: Matrix) -> list[tuple[str, str | None]]:
    (section,) = grid.sections(one)
    return [(section.label(row), row.cells["a"][0].verdict) for row in section.rows]


def test_rows_with_the_same_words_merge_into_products_only() -> None:
    assert rows(square()) == [("ipv4 ipv6 · specific wildcard", "balanced")]
    assert rows(square(ipv6_wildcard="newest")) == [
        ("ipv4 ipv6 · specific", "balanced"),
        ("ipv4 · wildcard", "balanced"),
        ("ipv6 · wildcard", "newest"),
    ]


def test_every_cell_is_in_exactly_one_row() -> None:
    one = square(ipv6_specific="newest", ipv4_wildcard="newest")
    (section,) = grid.sections(one)
    shown = [entry for row in section.rows for entry in row.cells["a"]]
    assert sorted(entry.cell.key for entry in shown) == sorted(e.cell.key for e in one.cells)
    for row in section.rows:
        size = 1
        for _, values in row.values:
            size *= len(values)
        assert size == len(row.cells["a"])


def test_a_row_holds_for_every_guest() -> None:
    one = matrix(
        {
            ("a", cell("ipv4")): word("balanced"),
            ("a", cell("ipv6")): word("balanced"),
            ("b", cell("ipv4")): word("balanced"),
            ("b", cell("ipv6")): word("newest"),
        }
    )
    (section,) = grid.sections(one)
    assert [section.label(row) for row in section.rows] == ["ipv4", "ipv6"]


def arrivals(first: str, second: str) -> Matrix:
    at = Cell.at("failure-arrivals", option="reuseport", protocol="tcp", family="ipv4")
    return matrix({("a", at): word(first), ("b", at): word(second)})


def test_a_count_stands_as_a_share_behind_its_word_and_makes_no_difference() -> None:
    shown = terminal.render(arrivals("reset:15/200", "reset:1/400"))
    assert re.search(r"^  all +reset 8% +reset <1%$", shown, re.M)
    assert "≠" not in re.sub(r"^A word is.*$", "", shown, flags=re.M)
    assert "| all | reset 8% | reset &lt;1% |" in markdown.render(
        arrivals("reset:15/200", "reset:1/400")
    )


def test_a_row_on_which_guests_differ_is_marked() -> None:
    one = arrivals("reset:15/200", "lost:15/200")
    assert re.search(r"^≠ all +reset 8% +lost 8%$", terminal.render(one), re.M)
    assert "| ≠ all |" in markdown.render(one)
    assert "≠" not in terminal.render(square())


def test_rows_with_one_word_merge_if_their_shares_are_near_and_show_both_ends() -> None:
    def joined(*verdicts: str) -> list[str]:
        names = [str(number) for number in range(len(verdicts))]
        cells = {
            ("a", Cell.at("bound-only", position=name)): word(verdict)
            for name, verdict in zip(names, verdicts, strict=True)
        }
        (section,) = grid.sections(matrix(cells))
        return [grid.shares(row.cells["a"]) for row in section.rows]

    assert joined("swallowed:0.20", "swallowed:0.27") == ["20–27%"]  # noqa: RUF001
    assert joined("swallowed:0.25", "swallowed:1.00") == ["25%", "100%"]
    assert joined("harmless", "harmless") == [""]


def test_the_share_that_moved_stands_beside_its_word() -> None:
    at = Cell.at("failure-flows", option="reuseport")
    moved = {"moved_of_survivors": 0.655}
    judgement = Judgement(State.MEASURED, "reshuffled", statistics=moved)
    assert "reshuffled 66%\n" in terminal.render(matrix({("a", at): judgement}))


def test_a_label_breaks_where_an_axis_ends_and_goes_on_indented() -> None:
    points = {
        "balanced": "reuseport tcp ipv4 specific both",
        "newest": "reuseport_lb udp ipv6 wildcard only-first",
    }
    axes = ("option", "protocol", "family", "bind", "case")
    one = matrix(
        {
            (guest, Cell.at("sharing", **dict(zip(axes, point.split(), strict=True)))): word(
                verdict
            )
            for verdict, point in points.items()
            for guest in ("a", "b", "c")
        }
    )
    shown = terminal.render(one, width=60)
    first = r"^  reuseport_lb · udp · ipv6 · +newest +newest +newest$"
    assert re.search(first + r"\n^    wildcard · case only-first$", shown, re.M)


def test_a_label_that_fits_beside_its_only_guest_is_not_broken() -> None:
    one = matrix(
        {
            ("a", Cell.at("sharing", option=option, case=" ".join(["after-bind"] * count))): word(
                verdict
            )
            for option, count, verdict in (("reuseport", 4, "shared"), ("none", 1, "undefined"))
        }
    )
    assert re.search(r"^  reuseport · case( after-bind){4} +shared$", terminal.render(one), re.M)


def test_a_release_is_cut_where_a_part_of_it_ends() -> None:
    one = matrix(
        {(f"g{number}", cell()): word("balanced") for number in range(5)},
        **{f"g{number}": {"system": "L", "release": "6.18.44-fc-v669"} for number in range(5)},
    )
    assert "6.18.44…" in terminal.render(one, width=84)
    assert "6.18.4…" not in terminal.render(one, width=84)


STATES = {
    ("a", cell("ipv4")): word("balanced"),
    ("a", cell("ipv6")): Judgement(State.INCONCLUSIVE, why="lossy"),
    ("b", cell("ipv4")): Judgement(State.NOT_APPLICABLE, why="no such option"),
    ("b", cell("ipv6")): Judgement(State.INFRASTRUCTURE, why="boot: panic"),
    ("c", cell("ipv4")): Judgement(State.NOT_RUN, why="no image"),
    ("c", cell("ipv6")): Judgement(State.NOT_RUN, why="no image"),
}


def test_each_state_has_a_mark_of_its_own_without_colour_and_its_reason_once() -> None:
    shown = terminal.render(matrix(STATES))
    assert re.search(r"^  ipv4 +balanced +– \[\d\] +\? \[\d\]$", shown, re.M)  # noqa: RUF001
    assert re.search(r"^  ipv6 +~ \[\d\] +! \[\d\] +\? \[\d\]$", shown, re.M)
    for sentence in ("inconclusive: lossy", "not-run: no image", "infrastructure: boot: panic"):
        assert len(re.findall(rf"^\[\d\] {sentence}$", shown, re.M)) == 1
    assert "\x1b" not in shown


def test_colour_adds_nothing_but_colour() -> None:
    coloured = terminal.render(matrix(STATES), colour=True)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert coloured != plain
    stripped = "".join(f"{line.rstrip()}\n" for line in plain.splitlines())
    assert stripped == terminal.render(matrix(STATES))


def test_counts_are_shown_on_demand() -> None:
    assert "listener 1 100, p 0.25" not in terminal.render(square())
    assert "listener 1 100, p 0.25" in terminal.render(square(), verbose=True)


@pytest.mark.parametrize("guests", [1, 3, 5, 12])
@pytest.mark.parametrize("width", [60, 100, 160])
def test_no_line_is_wider_than_asked_and_every_guest_is_there(guests: int, width: int) -> None:
    one = matrix(
        {
            (f"netbsd-{number}.99-current", cell(family, case="only-second")): judgement
            for number in range(guests)
            for family, judgement in (
                ("ipv4", word("refused:EADDRNOTAVAIL")),
                ("ipv6", Judgement(State.INFRASTRUCTURE, why="x" * 300)),
            )
        }
    )
    shown = terminal.render(one, width=width)
    assert max(map(text.cells, shown.splitlines())) <= width
    for guest in one.guests:
        assert shown.count(guest) >= 2


@pytest.mark.parametrize("form", ["terminal", "markdown"])
def test_nothing_a_guest_says_reaches_the_reader_raw(form: str) -> None:
    one = matrix(
        {("a", cell()): Judgement(State.INCONCLUSIVE, why=HOSTILE), ("b", cell()): word(HOSTILE)},
        a={"system": HOSTILE, "release": HOSTILE, "provenance": {"cpu": HOSTILE}},
    )
    shown = FORMATS[form](Report(one))
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "evil" in shown
    assert ("\\\\x1b" in shown) == (form == "markdown")  # whose backslashes are written twice
    assert "\\\\\\\\x1b" not in shown


def test_markdown_keeps_its_table_and_loses_its_meanings() -> None:
    one = matrix({("a", cell()): word(HOSTILE), ("b", cell()): word("balanced")})
    shown = markdown.render(one)
    table = [line for line in shown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {5}
    for raw in ("<script", " `rm`", "@all", "#1", ":tada:", "http://", "[^9]"):
        assert raw not in shown
    assert "&lt;script&gt;&amp;amp;" in shown


def test_markdown_notes_are_defined_once_and_all_used() -> None:
    shown = markdown.render(matrix(STATES))
    defined = re.findall(r"^\[\^(\d+)\]: ", shown, re.M)
    used = re.findall(r"\[\^(\d+)\](?!:)", shown)
    assert defined == ["1", "2", "3", "4"]
    assert set(used) == set(defined)


def test_a_time_of_day_and_an_errno_stay_readable_in_markdown() -> None:
    assert text.markdown("12:01:07 refused:EADDRINUSE") == "12:01:07 refused:EADDRINUSE"


def test_visible_tells_what_was_there() -> None:
    assert text.visible("a\x1b\u202eb\n") == r"a\x1b\u202eb\x0a"
    assert text.visible("\\x1b") == "\\\\x1b"
    assert text.visible("größer 日本") == "größer 日本"
    assert text.visible("e\u0301\U000e0001") == r"e\u0301\U000e0001"


def test_clip_counts_columns() -> None:
    assert text.clip("日本語", 6) == "日本語"
    assert text.clip("日本語", 5) == "日本…"
    assert text.clip("abc", 3) == "abc"


@pytest.mark.parametrize("form", list(FORMATS))
def test_the_same_matrix_gives_the_same_text_and_10_000_cells_take_less_than_a_second(
    form: str,
) -> None:
    words = ("balanced", "newest", "oldest", "skewed")
    cells = {
        (f"guest-{guest}", cell(family, bind, number=str(number))): word(words[number * guest % 4])
        for guest in range(10)
        for number in range(250)
        for family in ("ipv4", "ipv6")
        for bind in ("specific", "wildcard")
    }
    one = matrix(cells)
    assert len(one.cells) == 10_000
    shown = cheap(lambda: FORMATS[form](Report(one)), 1)
    assert FORMATS[form](Report(one)) == shown


def test_json_is_the_matrix_and_compatibility_data() -> None:
    text = FORMATS["json"](Report(square()))
    assert decode(text.encode()) == square()
    assert msgspec.json.decode(text)["compatibility"]["schema"] == 1
