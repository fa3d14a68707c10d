"""The first screen of a page of several systems: answers, columns, state, and small screens."""

import re
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from chromium import PHONE, Browser, page, started
from msgspec.structs import replace
from recorded_matrix import recorded
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select
from test_page import unfold, written

from harness.matrix import Entry, Facts, Matrix
from harness.model import State
from harness.report.account import account, filled, sentence
from harness.report.report import Report
from harness.scenarios.sense import Grade

__all__ = ["page", "started"]  # fixtures, found by their names

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("browser")]

DESK = (1400, 900)

GRADES = re.compile(rf" \(({'|'.join(Grade)})\)")
"""What is said only to who cannot see the mark."""

DASH = "\N{EN DASH}"

KERNELS: dict[str, Facts] = {
    **{f"linux-{number}": {"system": "Linux", "release": number} for number in
       ("4.3.0", "5.10.1", "6.1.0", "6.12.1", "6.18.2", "7.3.4")},
    "fb": {"system": "FreeBSD", "release": "14.0-STABLE"},
    "df": {"system": "DragonFly", "release": "6.5-DEVELOPMENT"},
    "nb": {"system": "NetBSD", "release": "7.99.10"},
}  # fmt: skip

OTHER = {"balanced": "newest", "shared": "newest-takes-all", "reset": "inherited"}
"""What the kernels answer that are not Linux."""


def on(guest: str, entry: Entry) -> Entry:
    """Return a cell of another kernel: IPv6 of DragonFly and old Linux has other words, too."""
    head, _, rest = (entry.verdict or "").partition(":")
    other = OTHER.get(head) if KERNELS[guest]["system"] != "Linux" else None
    if guest == "df" and entry.axes["family"] == "ipv4":
        other = None
    if guest == "linux-4.3.0" and head == "reset":
        other = "closed" if entry.scenario == "failure-queued" else None
    verdict = entry.verdict if other is None else other + (f":{rest}" if rest else "")
    return replace(entry, guest=guest, verdict=verdict, repeats=())


def nine() -> Matrix:
    one = recorded()
    cells = [on(guest, entry) for guest in KERNELS for entry in one.cells]
    return replace(one, guests=KERNELS, cells=tuple(cells))


@pytest.fixture(scope="module")
def nine_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("nine"), Report(nine()))


def answer(page: Browser, question: str, column: int) -> str:
    """Return the text of an answer; columns count from 1."""
    found = page.script(
        "const [asks, column] = arguments;"
        "const line = [...document.querySelectorAll('#answer-table tr')]"
        ".find((one) => one.cells[0].textContent.startsWith(asks));"
        "return line.cells[column].innerText;",
        question,
        column,
    )
    return GRADES.sub("", re.sub(r"\s+", " ", str(found))).strip()


def width(page: Browser) -> int:
    """Return the width of the page in CSS pixels; it is that of the window unless it scrolls."""
    found = page.script("return document.documentElement.scrollWidth")
    assert isinstance(found, int)
    return found


def test_the_first_screen_answers_what_people_ask_first(page: Browser, nine_file: Path) -> None:
    page.open(nine_file, size=DESK)
    table = page.all("#answer-table")[0]
    assert table.location["y"] + table.size["height"] < DESK[1]
    assert width(page) <= DESK[0]
    heads = page.texts("#answer-table thead th")
    assert [head.split()[0] for head in heads[1:]] == ["Linux", "FreeBSD", "DragonFly", "NetBSD"]
    assert answer(page, "connections waiting", 1) == f"✗ reset 5.10{DASH}7.3 ✗ closed 4.3"
    assert answer(page, "connections waiting", 2) == "✓ inherited"
    assert answer(page, "connections waiting", 3) == "✓ inherited ipv6 ✗ reset ipv4"
    assert answer(page, "What is lost", 1).startswith("✗ clients notice")
    assert (
        "✓ on all"
        in page.script("return document.getElementById('answer-table').innerText").__str__()
    )


def test_an_answer_opens_its_own_cells(page: Browser, nine_file: Path) -> None:
    page.open(nine_file, size=DESK)
    page.script(
        "[...document.querySelectorAll('#answer-table .cell')]"
        ".find((link) => link.textContent.includes('inherited')).click()"
    )
    assert "inherited" in page.texts("dialog .verdict")[0]
    assert re.search(r"Siblings accepted all \d+|worker was", page.texts("dialog .told")[0])
    options = page.script("return [...document.querySelectorAll('dialog option')].length")
    assert isinstance(options, int)
    before = page.texts("dialog h2"), page.driver.current_url
    page.all("dialog header p button")[1].click()
    assert (page.texts("dialog h2"), page.driver.current_url) != before
    assert "inherited" in page.texts("dialog .verdict")[0]


def test_the_dialog_says_what_happened_and_what_to_do(page: Browser, nine_file: Path) -> None:
    page.open(nine_file, "#q=failure-queued", size=DESK)
    unfold(page)
    page.script(
        "[...document.querySelectorAll('tr.row:not([hidden]) .cell')]"
        ".find((one) => one.innerText.includes('reset')).click()"
    )
    told = " ".join(page.texts("dialog .told"))
    assert re.search(r"with \d+ connections waiting in its queue\. All \d+ were reset\.", told)
    assert page.texts("dialog .advice")[0].startswith("What to do: Drain first")
    assert "the failed worker's: reset" in " ".join(page.texts("dialog dt"))
    assert any("FreeBSD 14.0" in text for text in page.texts("dialog .others li"))


def test_the_page_fills_in_the_numbers_as_the_command_line_does(
    page: Browser, nine_file: Path
) -> None:
    page.open(nine_file, size=DESK)
    shown = page.script("return DATA.cells.map((_, at) => toldOf(cellAt(at)))")
    assert shown == [
        " ".join(filter(None, (filled(account(cell).told, cell.counts), sentence(cell.why or ""))))
        for cell in nine().cells
    ]


def test_columns_are_systems_and_releases_and_all_nine_fit(page: Browser, nine_file: Path) -> None:
    page.open(nine_file, size=DESK)
    assert page.texts("#table thead th") == [
        *("Scenario and case", "Linux", "FreeBSD", "DragonFly", "NetBSD"),
        *("4.3", "5.10", "6.1", "6.12", "6.18", "7.3", "14.0", "6.5", "7.99"),
    ]
    box = "const box = document.querySelector('#matrix .wide');"
    assert page.script(f"{box} return box.scrollWidth <= box.clientWidth")
    unfold(page)
    page.script("window.scrollTo(0, document.body.scrollHeight / 2)")
    tops = "[...document.querySelectorAll('#table thead th')].map((head) => head"
    assert page.script(f"return Math.min(...{tops}.getBoundingClientRect().top))") == 0


def test_a_table_that_is_too_wide_says_so_and_keeps_its_head(
    page: Browser, nine_file: Path
) -> None:
    page.open(nine_file, size=(800, 900))
    page.script("document.getElementById('unfold').click()")
    box = "const box = document.querySelector('#matrix .wide');"
    assert page.script(f"{box} return box.classList.contains('more')")
    page.script(f"{box} box.scrollTop = 900;")
    head = "document.querySelector('#table thead th').getBoundingClientRect().top"
    assert page.script(f"{box} return Math.abs({head} - box.getBoundingClientRect().top) < 2")
    page.script(f"{box} box.scrollLeft = 9999; box.dispatchEvent(new Event('scroll'))")
    assert not page.script(f"{box} return box.classList.contains('more')")


def test_a_folded_row_hides_no_word(page: Browser, nine_file: Path) -> None:
    page.open(nine_file, size=DESK)
    found = page.script(
        "return SECTIONS.flatMap((section) => [...section.head.cells].slice(1).map((place) =>"
        " [...place.querySelectorAll('button')].map((button) =>"
        "  [button.textContent, numbersAt(button).map((number) => wordAt(number))])));"
    )
    assert isinstance(found, list)
    assert found
    for buttons in found:
        for text, words in buttons:
            assert len(set(words)) == 1
            assert words[0] in text
    numbers = page.script(
        "return SECTIONS.map((section) => [...section.head.cells].slice(1).map((place) =>"
        " [new Set([...place.querySelectorAll('button')].flatMap(numbersAt)).size,"
        "  (place.dataset.cells || '').split(',').filter(Boolean)"
        "   .filter((one) => measured(Number(one))).length]));"
    )
    assert isinstance(numbers, list)
    for places in numbers:
        for behind, measured in places:
            assert not measured or behind == measured


def test_what_changed_from_release_to_release_can_be_asked_for(
    page: Browser, nine_file: Path
) -> None:
    page.open(nine_file, size=DESK)
    Select(page.all("#which")[0]).select_by_value("releases")
    assert page.texts("tr.scenario .fold") == ["failure-queued"]
    marked = "tr.scenario:has(.differs:not(:empty)) .fold"
    assert page.texts(marked) == ["failure-queued"]
    Select(page.all("#which")[0]).select_by_value("")
    assert page.texts(marked) == ["failure-queued"]


def test_what_was_chosen_survives_a_click_and_a_reload(page: Browser, nine_file: Path) -> None:
    page.open(nine_file, size=DESK)
    page.all("#columns input")[0].click()
    page.all(".fold")[1].click()
    Select(page.all("select[name='family']")[0]).select_by_visible_text("ipv6")
    state = "return [[...boxes].map((box) => box.checked), SECTIONS.map((one) => one.open)]"
    before = page.script(state), page.texts("#tally")
    page.all("nav a")[0].click()
    page.all("#table .cell")[0].click()
    asked = parse_qs(page.driver.current_url.partition("#")[2])
    assert {"guests", "open", "family", "guest", "cell"} <= asked.keys()
    page.driver.refresh()
    assert page.all("dialog")
    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert (page.script(state), page.texts("#tally")) == before


def test_a_search_takes_all_words_guests_and_meanings(page: Browser, nine_file: Path) -> None:
    page.open(nine_file, size=DESK)
    search = page.all("#search")[0]
    search.send_keys("freebsd inherited")
    assert "failure-queued" in page.texts("tr.scenario .fold")
    assert "distribution" not in page.texts("tr.scenario .fold")
    search.clear()
    search.send_keys("pass the descriptor")
    assert "failure-queued" in page.texts("tr.scenario .fold")
    search.clear()
    search.send_keys("no such thing")
    assert page.texts("#tally") == ["No row matches “no such thing” with these filters."]


def test_each_table_is_one_tab_stop_and_a_link_skips_to_the_answers(
    page: Browser, nine_file: Path
) -> None:
    page.open(nine_file, size=DESK)
    unfold(page)
    for table in ("#answer-table", "#table"):
        assert (
            page.script(
                "return [...document.querySelector(arguments[0]).querySelectorAll('a, button')]"
                ".filter((one) => one.tabIndex >= 0).length",
                table,
            )
            == 1
        )
    page.open(nine_file, size=DESK)
    page.driver.switch_to.active_element.send_keys(Keys.TAB)
    active = page.driver.switch_to.active_element
    assert active.text == "Skip to the answers"
    active.send_keys(Keys.ENTER)
    assert page.driver.switch_to.active_element.get_attribute("id") == "main"


def test_a_phone_shows_one_system_at_a_time(page: Browser, nine_file: Path) -> None:
    page.open(nine_file, size=PHONE)
    assert width(page) == PHONE[0]
    assert [head.split()[0] for head in page.texts("#answer-table thead th")[1:]] == ["Linux"]
    assert page.all("tr.scenario .sentence")
    Select(page.all("#system")[0]).select_by_index(3)
    assert [head.split()[0] for head in page.texts("#answer-table thead th")[1:]] == ["DragonFly"]
    assert page.texts("#table thead th")[1:] == ["DragonFly", "6.5"]
    assert "system=2" in page.driver.current_url


def test_on_paper_no_column_is_cut(page: Browser, nine_file: Path) -> None:
    page.open(nine_file, size=(1050, 740))  # A4, landscape, at 96 pixels an inch
    unfold(page)
    page.media(media="print")
    assert width(page) <= 1050
    assert page.all("#answer-table tr.question")


def test_what_was_not_run_is_not_asked(page: Browser, tmp_path: Path) -> None:
    one = nine()
    cells = tuple(
        replace(cell, state=State.NOT_RUN, verdict=None, why="no image")
        if cell.guest == "nb" and cell.scenario == "drain"
        else cell
        for cell in one.cells
    )
    page.open(written(tmp_path, Report(replace(one, cells=cells))), size=DESK)
    assert answer(page, "accept until empty", 4) == "· not asked"
