"""The pictures of a cell: bars match the counts, and screen readers get a label."""

from pathlib import Path

import pytest
from chromium import Browser, page, started
from recorded_matrix import recorded
from test_page import written

from harness.report.report import Report

__all__ = ["page", "started"]  # fixtures, found by their names

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("browser")]

ODD = (
    "{}",
    "{member_0: 1}",
    "{member_0: -5, member_1: 1e300, member_99999: 3}",
    "{member_0: NaN, flows: Infinity, survivors_total: null, survivors_moved: 9}",
    "{victim_total: 1, victim_reset: 99, survivors_total: 0, queued: 'x'}",
    "{after_member_0: 0, after_flows: 0}",
    "{'<b>_member_1': 1, served_by_x: -1, served_by_y: 2}",
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("charts"), Report(recorded()))


def test_every_scenario_with_counts_has_a_picture_that_says_them(page: Browser, file: Path) -> None:
    page.open(file)
    found = page.script(
        "return DATA.cells.map((_, at) => cellAt(at)).filter((cell) => cell.verdict)"
        ".map((cell) => [cell.scenario, cell.counts, chart(cell)?.getAttribute('aria-label')]);"
    )
    assert isinstance(found, list)
    drawn = {scenario for scenario, _, label in found if label}
    assert drawn == {scenario for scenario, counts, _ in found if counts}
    assert len(drawn) > 10
    for scenario, counts, label in found:
        if label:
            assert label.startswith(f"{scenario} on recorded: ")
            assert all(f"{name} {value}" in label for name, value in counts.items())


def widths(page: Browser, counts: str, scenario: str = "distribution") -> list[float]:
    """Draw, and return the widths of the bars, which are the elements with a title."""
    found = page.script(
        f"const picture = chart({{scenario: '{scenario}', guest: 'g', state: 'measured',"
        f"verdict: 'v', axes: {{}}, counts: {counts}, statistics: {{}}}});"
        "if (!picture) return null;"
        "document.querySelector('main').replaceChildren(picture);"
        "return [...picture.querySelectorAll('rect:has(title)')]"
        ".map((bar) => bar.getBBox().width);"
    )
    return found if isinstance(found, list) else []


def test_bars_are_as_long_as_the_counts(page: Browser, file: Path) -> None:
    page.open(file)
    one, two, three = widths(page, "{member_0: 100, member_1: 200, member_2: 50}")
    assert two / one == pytest.approx(2, rel=0.02)
    assert one / three == pytest.approx(2, rel=0.02)
    reset, others = widths(page, "{victim_total: 100, victim_reset: 25}", "failure-queued")
    assert others / reset == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize(
    "scenario", ["distribution", "failure-flows", "takeover", "fallback", "restart"]
)
@pytest.mark.parametrize("counts", ODD)
def test_odd_counts_are_drawn_or_not_but_never_throw(
    page: Browser, file: Path, counts: str, scenario: str
) -> None:
    page.open(file)
    assert all(0 <= width <= 400 for width in widths(page, counts, scenario))
    shapes = "[...document.querySelectorAll('main :is(rect, path, line)')]"
    assert "NaN" not in str(page.script(f"return {shapes}.map((shape) => shape.outerHTML).join()"))


def words(page: Browser, file: Path, scenario: str, counts: str, more: str = "") -> list[str]:
    """Draw, and return the texts in the picture."""
    page.open(file)
    found = page.script(
        f"return [...chart({{scenario: '{scenario}', guest: 'g', state: 'measured', verdict: 'v',"
        f"axes: {{}}, counts: {counts}, statistics: {{}}, {more}}})"
        ".querySelectorAll('.c-text')].map((word) => word.textContent);"
    )
    assert isinstance(found, list)
    return found


def test_a_flow_is_drawn_once(page: Browser, file: Path) -> None:
    counts = "{after_change: 440, served: 312, delayed: 128, unserved: 128, lost: 0}"
    drawn = words(page, file, "failure-arrivals", counts)
    assert drawn[:3] == ["connections since the failure: 440", "served 312", "delayed 128"]
    counts = "{victim_total: 100, victim_dropped: 40, victim_eof: 10, victim_ECONNRESET: 30}"
    drawn = words(page, file, "failure-established", counts)
    assert drawn == ["the failed worker's: 100", "eof 10", "ECONNRESET 30", "unaffected 60"]


def test_a_phase_in_which_nobody_serves_has_a_bar(page: Browser, file: Path) -> None:
    counts = "{all_flows: 9, all_member_0: 9, left_1_flows: 9, left_1_ECONNREFUSED: 9}"
    drawn = words(page, file, "fallback", counts)
    assert drawn[-2:] == ["after 1 left: 9", "ECONNREFUSED 9"]


def test_what_a_load_met_that_has_no_word_is_not_served(page: Browser, file: Path) -> None:
    drawn = words(page, file, "drain", "{flows: 100, reset: 5, EHOSTUNREACH: 10, slowest_ms: 7}")
    assert drawn == ["new connections: 100", "served 85", "reset 5", "EHOSTUNREACH 10"]


def test_a_restart_is_drawn_over_time(page: Browser, file: Path) -> None:
    parts = "at_20_new: 3, at_0_old: 40, at_0_lost: 5, at_0_slowest: 7"
    counts = f"{{flows: 100, reset: 5, delayed: 10, {parts}}}"
    drawn = words(page, file, "restart", counts)
    assert drawn[:4] == ["new connections: 100", "served 85", "reset 5", "delayed 10"]
    assert drawn[4:] == [
        *("ms after a restart", "slowest", "0 – 20", "7 ms", "from 20", "0 ms"),  # noqa: RUF001
        *("old 40", "new 3", "lost 5"),
    ]


def test_flows_that_come_back_to_a_restarted_listener_are_told(page: Browser, file: Path) -> None:
    counts = "{flows: 400, survivors_total: 300, survivors_moved: 60, newcomer: 90}"
    more = "axes: {change: 'restart'}, statistics: {moved_of_all: 0.2}"
    drawn = words(page, file, "failure-flows", counts, more)
    assert {"stay 240", "move 60", "come back 80", "find another 20"} <= set(drawn)


def test_an_even_share_is_drawn_from_senders_where_they_decide(page: Browser, file: Path) -> None:
    drawn = words(
        page, file, "datagrams", "{flows: 640, member_0: 400, member_1: 240, senders: 17}"
    )
    assert drawn[-1].endswith("of 17 draws")


def test_what_is_bad_has_a_pattern_and_a_listener_its_number(page: Browser, file: Path) -> None:
    page.open(file)
    widths(page, "{victim_total: 9, victim_reset: 9}", "failure-queued")
    assert page.script("return document.querySelectorAll('main .c-hatch').length") == 2
    widths(page, "{all_flows: 9, all_member_0: 4, all_member_1: 5}", "fallback")
    signs = "[...document.querySelectorAll('main .c-in')].map((sign) => sign.textContent)"
    assert page.script(f"return {signs}") == ["1", "2"]


def test_hostile_words_stay_words(page: Browser, file: Path) -> None:
    page.open(file)
    evil = "<img src=x onerror=console.error(1)>"
    found = page.script(
        "const evil = arguments[0];"
        "const picture = chart({scenario: 'precedence', guest: evil, state: evil, verdict: evil,"
        " axes: {[evil]: evil}, statistics: {}, counts: {[`served_by_${evil}`]: 5, flows: 5}});"
        "document.querySelector('main').replaceChildren(picture);"
        "return [picture.getAttribute('aria-label'),"
        " [...new Set([...picture.querySelectorAll('*')].map((one) => one.tagName))].sort()];",
        evil,
    )
    assert isinstance(found, list)
    label, tags = found
    assert label == f"precedence on {evil}: {evil}; served_by_{evil} 5, flows 5"
    assert tags == ["rect", "text", "title"]


def test_on_a_small_phone_the_words_can_be_read(page: Browser, file: Path) -> None:
    page.open(file, size=(320, 640))
    widths(page, "{member_0: 100, member_1: 200}")
    found = page.script(
        "const picture = document.querySelector('main .chart');"
        "const scale = picture.getBoundingClientRect().width / picture.viewBox.baseVal.width;"
        "return [...picture.querySelectorAll('text')].map((word) =>"
        " [scale * parseFloat(getComputedStyle(word).fontSize),"
        "  word.getBBox().x + word.getBBox().width]);"
    )
    assert isinstance(found, list)
    assert min(size for size, _ in found) >= 11
    assert max(end for _, end in found) <= 300
    assert page.script("return document.documentElement.scrollWidth") == 320
