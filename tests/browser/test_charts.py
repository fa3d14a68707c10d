"""The pictures of a cell: as long as the counts say, named for who does not see them."""

from pathlib import Path

import pytest
from chromium import PHONE, Browser, page, started
from recorded_matrix import recorded
from test_page import written

from harness.report import Report

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
    """Draw, and return the widths of what has a title: the bars."""
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


@pytest.mark.parametrize("scenario", ["distribution", "failure-flows", "takeover", "fallback"])
@pytest.mark.parametrize("counts", ODD)
def test_odd_counts_are_drawn_or_not_but_never_throw(
    page: Browser, file: Path, counts: str, scenario: str
) -> None:
    page.open(file)
    assert all(0 <= width <= 400 for width in widths(page, counts, scenario))
    shapes = "[...document.querySelectorAll('main :is(rect, path, line)')]"
    assert "NaN" not in str(page.script(f"return {shapes}.map((shape) => shape.outerHTML).join()"))


def test_on_a_phone_the_words_can_be_read(page: Browser, file: Path) -> None:
    page.open(file, size=PHONE)
    widths(page, "{member_0: 100, member_1: 200}")
    height = page.script("return document.querySelector('.c-text').getBoundingClientRect().height")
    assert isinstance(height, float | int)
    assert height >= 11
    assert page.script("return document.documentElement.scrollWidth") == PHONE[0]
