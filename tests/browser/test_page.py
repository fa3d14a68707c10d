"""The report in a real browser: filters, dialog, links, keyboard, and a phone."""

import re
import time
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from chromium import PHONE, Browser, page, started
from msgspec.structs import replace
from recorded_matrix import recorded
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select
from test_html import reply
from test_report import HOSTILE, cell, matrix, word

from harness.matrix import Matrix
from harness.matrix.recordings import Recordings
from harness.model import Judgement, State
from harness.report.formats import FORMATS
from harness.report.report import Report

__all__ = ["page", "started"]  # fixtures, found by their names

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("browser")]

SAID = b'{"event":"begin"}\n{"event":"unheard-of"}\n'


def two_guests() -> Matrix:
    """The recordings of real kernels as guest `recorded`, and `other`, which differs in some."""
    one = recorded()
    others = [
        replace(entry, guest="other", verdict="newest", repeats=())
        if entry.scenario == "distribution" and entry.axes["bind"] == "wildcard"
        else replace(entry, guest="other")
        for entry in one.cells
    ]
    facts = dict(one.guests)
    return replace(one, guests={**facts, "other": {"system": "Other"}}, cells=(*one.cells, *others))


def written(folder: Path, report: Report) -> Path:
    path = folder / "report.html"
    path.write_text(FORMATS["html"](report))
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one = two_guests()
    replies = tuple(reply(one, SAID, number) for number in range(len(one.cells)))
    recordings = Recordings(replies, {"recorded": b"boot\nlogin:"})
    return written(tmp_path_factory.mktemp("page"), Report(one, recordings=recordings))


def choose(page: Browser, axis: str, value: str) -> None:
    (element,) = page.all(f"select[name='{axis}']")
    Select(element).select_by_visible_text(value)


def unfold(page: Browser) -> None:
    page.all("#unfold")[0].click()


def tally(page: Browser) -> tuple[int, int]:
    """Return how many cells are shown, and how many there are."""
    numbers = re.findall(r"\d+", page.texts("#tally")[0])
    return int(numbers[0]), int(numbers[1])


def test_the_matrix_has_a_word_and_a_mark_for_each_guest(page: Browser, file: Path) -> None:
    page.open(file)
    assert page.texts("#table thead th")[:3] == ["Scenario and case", "Linux", "Other"]
    scenarios = page.texts("tr.scenario .fold")
    assert {"sharing", "distribution", "failure-queued"} <= set(scenarios)
    assert not page.all("tr.row")
    for button in page.texts("tr.scenario td button"):
        assert re.match(r"^((tcp|udp|mptcp) )?\S [a-z-]+", button), button


def test_filters_narrow_rows_their_labels_and_the_words(page: Browser, file: Path) -> None:
    page.open(file)
    choose(page, "option", "any")
    choose(page, "tunables", "any")
    assert tally(page)[0] == tally(page)[1]
    choose(page, "option", "reuseport")
    unfold(page)
    before, labels = tally(page)[0], page.texts("tr.row .label")
    assert any("ipv4" in label for label in labels)
    choose(page, "family", "ipv6")
    assert 0 < tally(page)[0] < before
    assert not any("ipv" in label or "mapped" in label for label in page.texts("tr.row .label"))
    page.all("button[type=reset]")[0].click()
    assert "ipv4" in " ".join(page.texts("tr.row .label"))


def test_rows_where_guests_differ_can_be_asked_for(page: Browser, file: Path) -> None:
    page.open(file)
    Select(page.all("#which")[0]).select_by_visible_text("where guests differ")
    unfold(page)
    assert page.texts("tr.scenario .fold") == ["distribution"]
    assert all("wildcard" in label for label in page.texts("tr.row .label"))
    page.all("#columns input")[1].click()
    assert not page.all("tr.row")


def test_any_two_guests_can_be_compared(page: Browser, file: Path) -> None:
    page.open(file)
    for side, guest in (("left", "recorded"), ("right", "other")):
        Select(page.all(f"#{side}")[0]).select_by_visible_text(guest)
    assert any("new flows: newest instead of balanced" in one for one in page.texts("#changes li"))
    assert page.texts("tr.scenario .fold") == ["distribution"]
    assert "compare=recorded&with=other" in page.driver.current_url
    Select(page.all("#right")[0]).select_by_visible_text("any")
    assert not page.all("#changes li")
    assert len(page.texts("tr.scenario .fold")) > 1


def test_a_search_finds_words_cases_and_scenarios(page: Browser, file: Path) -> None:
    page.open(file)
    page.all("h1")[0].click()
    page.driver.switch_to.active_element.send_keys("/")
    page.driver.switch_to.active_element.send_keys("EADDRINUSE")
    unfold(page)
    assert page.texts("tr.scenario .fold") == ["sharing", "intrusion"]
    assert all("EADDRINUSE" in text for text in page.texts("tr.row td:nth-child(2)"))


def test_a_click_opens_what_stands_behind_a_cell_under_a_link_that_lasts(
    page: Browser, file: Path
) -> None:
    page.open(file)
    unfold(page)
    page.all("tr.row .cell")[0].click()
    assert page.texts("dialog h2")[0].endswith(" recorded")
    link = page.driver.current_url
    assert parse_qs(link.partition("#")[2])["guest"] == ["recorded"]
    assert '"unheard-of"' in " ".join(page.texts("dialog pre"))
    assert "login:" in " ".join(page.texts("dialog pre"))
    shown = page.texts("dialog h2"), page.texts("dialog .verdict")
    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not page.all("dialog")
    assert "guest=" not in page.driver.current_url
    page.open(file, f"#{link.partition('#')[2]}")
    assert (page.texts("dialog h2"), page.texts("dialog .verdict")) == shown


def test_a_link_to_a_row_shows_it_whatever_is_filtered(page: Browser, file: Path) -> None:
    one = two_guests()
    entry = next(entry for entry in one.cells if entry.axes.get("option") == "none")
    key = "+".join([entry.scenario, *(f"{axis}%3D{value}" for axis, value in entry.axes.items())])
    page.open(file, f"#row={key}")
    assert page.driver.switch_to.active_element.tag_name == "button"
    (row,) = page.all("tr.row:focus-within")
    assert row.is_displayed()


def test_a_link_to_a_cell_that_is_not_there_says_so(page: Browser, file: Path) -> None:
    page.open(file, "#guest=nobody&cell=sharing+option%3Dnone")
    assert "not in this run: nobody" in page.texts("#tally")[0]
    assert not page.all("dialog")


def test_filters_are_part_of_the_address(page: Browser, file: Path) -> None:
    page.open(file)
    choose(page, "family", "ipv6")
    address = page.driver.current_url
    assert "family=ipv6" in address
    shown = tally(page)
    page.open(file, f"#{address.partition('#')[2]}")
    assert tally(page) == shown
    assert "family ipv6" in page.texts("#chosen")[0]


def test_the_keyboard_walks_unfolds_opens_and_hears_the_counts(page: Browser, file: Path) -> None:
    page.open(file)
    page.script("document.querySelector('.fold').focus()")
    active = page.driver.switch_to.active_element
    assert active.get_attribute("aria-expanded") == "false"
    active.send_keys(Keys.ENTER)
    assert page.driver.switch_to.active_element.get_attribute("aria-expanded") == "true"
    for key in (Keys.ARROW_DOWN, Keys.ARROW_RIGHT):
        page.driver.switch_to.active_element.send_keys(key)
    active = page.driver.switch_to.active_element
    assert "cell" in str(active.get_attribute("class"))
    assert active.get_attribute("aria-describedby") == "tip"
    assert page.texts("#tip")[0].startswith("Linux ")
    active.send_keys(Keys.ENTER)
    assert page.all("dialog")


def test_hovering_tells_what_happened(page: Browser, file: Path) -> None:
    page.open(file, "#q=server-port")
    unfold(page)
    page.script(
        "document.querySelector('tr.row:not([hidden]) .cell')"
        ".dispatchEvent(new PointerEvent('pointerover', {bubbles: true, pointerType: 'mouse'}))"
    )
    assert re.search(r"The same clients called .*\d+", page.texts("#tip")[0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("opened", ["", "dialog", "phone"])
def test_the_page_is_accessible(page: Browser, file: Path, scheme: str, opened: str) -> None:
    page.media(prefers_color_scheme=scheme)
    page.open(file, size=PHONE) if opened == "phone" else page.open(file)
    if opened == "dialog":
        page.all(".cell")[0].click()
    elif not opened:
        unfold(page)
    assert page.violations() == []


def test_a_phone_sees_the_matrix_and_a_tap_the_counts(page: Browser, file: Path) -> None:
    page.open(file, size=PHONE)
    assert page.script("return document.documentElement.scrollWidth") == PHONE[0]
    assert page.all("#answer-table tr.question")[0].location["y"] < PHONE[1]
    page.script("document.querySelector('#table .cell').scrollIntoView({block: 'center'})")
    page.script(
        "document.querySelector('#table .cell').dispatchEvent("
        "new PointerEvent('click', {bubbles: true, pointerType: 'touch'}))"
    )
    assert not page.all("dialog")
    page.all("#tip button")[0].click()
    assert page.all("dialog")


def test_on_paper_there_is_the_table_and_no_control(page: Browser, file: Path) -> None:
    page.open(file)
    unfold(page)
    page.media(media="print")
    assert page.all("tr.row")
    assert not page.all("select")
    assert not page.all("nav")
    assert "option reuseport" in page.texts("#chosen")[0]


def test_what_a_guest_says_is_text_everywhere(page: Browser, tmp_path: Path) -> None:
    evil = f"<img src=x onerror=\"document.title='owned'\">{HOSTILE}"
    one = matrix(
        {
            ("a", cell(case=evil)): Judgement(State.INCONCLUSIVE, why=evil),
            (evil, cell()): word(evil),
        },
        a={"system": evil, "release": evil, "provenance": {evil: evil}},
    )
    replies = tuple(reply(one, evil.encode(errors="replace"), number) for number in (0, 1))
    recordings = Recordings(replies, {"a": evil.encode(errors="replace")})
    page.open(written(tmp_path, Report(one, one, recordings)))
    unfold(page)
    for button in page.all("tr.row .cell"):
        button.click()
        assert page.all("dialog pre")
        page.all("dialog button")[0].click()
    assert page.driver.title == "reuseport-matrix: r1"
    assert page.script("return document.images.length") == 0


def test_ten_thousand_cells_are_filtered_in_a_tenth_of_a_second(
    page: Browser, tmp_path: Path
) -> None:
    words = ("balanced", "newest", "oldest", "skewed")
    one = matrix(
        {
            (f"guest-{guest}", cell(family, bind, number=str(number))): word(
                words[number * guest % 4]
            )
            for guest in range(10)
            for number in range(250)
            for family in ("ipv4", "ipv6")
            for bind in ("specific", "wildcard")
        }
    )
    page.open(written(tmp_path, Report(one)))
    unfold(page)
    assert tally(page) == (10_000, 10_000)
    taken = []
    for family in ("ipv4", "ipv6", "any"):
        begun = time.monotonic()
        milliseconds = page.script(
            "const select = document.querySelector('select[name=family]');"
            "select.value = arguments[0] === 'any' ? '' : arguments[0];"
            "const begun = performance.now();"
            "select.dispatchEvent(new Event('input', {bubbles: true}));"
            "document.body.offsetHeight;"  # includes the time for layout
            "return performance.now() - begun;",
            family,
        )
        assert isinstance(milliseconds, float | int)
        taken.append(milliseconds)
        assert time.monotonic() - begun < 5
    assert tally(page) == (10_000, 10_000)
    assert min(taken) < 100, taken
