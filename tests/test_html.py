"""The page needs no other file, is safe whatever a guest says, and has a limited size."""

import base64
import hashlib
import json
import random
import re
import time
import zlib
from html.parser import HTMLParser

import pytest
from recorded_matrix import recorded
from test_report import HOSTILE, cell, matrix, square, word

from harness.matrix import Matrix, key_of
from harness.matrix.recordings import (
    LIMITS,
    RecordedReply,
    Recordings,
    limit,
)
from harness.model import Judgement, State
from harness.report.formats import FORMATS
from harness.report.page_recordings import shown, tail
from harness.report.report import Report

MOST = 5 << 20
"""The most bytes of a page."""


class Page(HTMLParser):
    """A parsed page: its elements with their attributes, and the text of some."""

    def __init__(self, report: Report) -> None:
        super().__init__(convert_charrefs=True)
        self.text = FORMATS["html"](report)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.contents: dict[str, list[str]] = {}
        self._open = ""
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self._open = tag
        self.contents.setdefault(tag, []).append("")

    def handle_data(self, data: str) -> None:
        if self.contents:
            self.contents[self._open][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._open = "html"

    @property
    def data(self) -> dict[str, list[list[object]]]:
        """Return the data that the script reads."""
        found = json.loads(self.contents["script"][0])
        assert isinstance(found, dict)
        return found


def reply(one: Matrix, raw: bytes, number: int = 0, **more: int) -> RecordedReply:
    entry = one.cells[number]
    return RecordedReply(
        guest=entry.guest,
        key=key_of(entry.scenario, entry.axes),
        attempt=1,
        started="2026-11-23T00:00:00+00:00",
        seconds=0.5,
        status=0,
        failure=None,
        offset=7,
        length=more.get("length", len(raw)),
        raw=raw,
    )


def inflated(page: Page) -> list[list[object]]:
    rows: list[list[object]] = []
    for _, _, packed in page.data["replies"]:
        assert isinstance(packed, str)
        rows += json.loads(zlib.decompress(base64.b64decode(packed)))
    return rows


def test_nothing_runs_or_is_fetched_but_what_the_page_brought() -> None:
    page = Page(Report(recorded()))
    policy = next(value for _, name, value in page.attributes if name == "content")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    for tag, kind in (("style", "style-src"), ("script", "script-src")):
        digest = hashlib.sha256(page.contents[tag][-1].encode()).digest()
        assert f"{kind} 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert page.tags.count("script") == 2
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
    links = [value for _, name, value in page.attributes if name in ("src", "href")]
    assert links
    assert all(value and value.startswith("#") for value in links)


def test_a_guest_adds_text_and_no_element() -> None:
    def said(text: str) -> Report:
        one = matrix(
            {
                ("a", cell(case=text)): Judgement(State.INCONCLUSIVE, why=text),
                (text, cell()): word(text),
            },
            a={"system": text, "release": text, "provenance": {"cpu": text}},
        )
        recordings = Recordings((reply(one, text.encode(errors="replace")),), {"a": b"x\x1b[2J"})
        return Report(one, one, recordings)

    hostile, plain = Page(said(HOSTILE)), Page(said("plain"))
    assert hostile.tags == plain.tags
    assert [name for _, name, _ in hostile.attributes] == [name for _, name, _ in plain.attributes]
    assert all(character.isprintable() or character == "\n" for character in hostile.text)
    said_by_agent = [str(row[-1]).replace("\n", "") for row in inflated(hostile)]
    assert said_by_agent
    assert all(map(str.isprintable, said_by_agent))
    assert "evil" in hostile.text


def test_every_cell_reaches_the_script_with_its_counts() -> None:
    one = recorded()
    data = Page(Report(one)).data
    assert len(data["cells"]) == len(one.cells)
    for fields, entry in zip(data["cells"], one.cells, strict=True):
        counts = fields[11]
        assert isinstance(counts, list)
        names = data["names"][counts[0]] if counts else []
        assert dict(zip(names, counts[1:], strict=True)) == dict(entry.counts)
    numbers: list[int] = []
    for _, _, guests in data["rows"]:
        assert isinstance(guests, list)
        numbers += [number for _, some in guests for number in some]
    assert sorted(numbers) == list(range(len(one.cells)))


def test_what_the_agent_said_is_in_the_page() -> None:
    one = square()
    said = b'{"event":"begin"}\n{"event":"end"}\n'
    rows = inflated(Page(Report(one, recordings=Recordings((reply(one, said, 2),)))))
    assert rows == [
        [2, 1, reply(one, said).started, 0.5, 0, None, 7, *[len(said)] * 2, said.decode().strip()]
    ]


def test_a_reply_is_cut_where_there_is_no_room_and_its_length_is_said() -> None:
    assert limit([]) == LIMITS[0]
    assert limit([1 << 20] * 100) == 1 << 16
    assert limit([1 << 20] * 1000) == 1 << 13
    one = square()
    rows = inflated(Page(Report(one, recordings=Recordings((reply(one, b"x" * 5, length=99),)))))
    assert rows[0][-3:] == [99, 5, "xxxxx"]


@pytest.mark.parametrize("length", [1 << 16, 1 << 10])
def test_noise_of_any_length_fits(length: int) -> None:
    one = square()
    noise = random.Random(1).randbytes((10 << 20) + length)
    replies = [reply(one, noise[at : at + length]) for at in range(0, 10 << 20, length)]
    page = Page(Report(one, recordings=Recordings(tuple(replies), {"a": noise})))
    assert len(page.text) < MOST
    assert len(inflated(page)) == len(replies)


@pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
def test_ten_mebibytes_of_a_guests_text_do_not_fill_a_report(form: str) -> None:
    long = "\u202e<b>" * (10 << 18)
    one = matrix(
        {
            ("a", cell()): Judgement(State.INCONCLUSIVE, why=long),
            ("a", cell(case="long")): word(long),
            (long, cell()): word("balanced"),
        },
        a={"system": long, "release": long, "provenance": {"cpu": long}},
    )
    begun = time.process_time()
    assert len(FORMATS[form](Report(one, one))) < 1 << 20
    assert time.process_time() - begun < 5


def test_ten_thousand_cells_fit() -> None:
    cells = {
        (f"guest-{guest}", cell(family, number=str(number))): Judgement(
            State.MEASURED,
            f"lost:{number}/10007",
            counts={f"count_{name}": number * guest + name for name in range(12)},
            statistics={"p": 1 / (number + 2), "share": number / 10007},
        )
        for guest in range(10)
        for number in range(500)
        for family in ("ipv4", "ipv6")
    }
    assert len(cells) == 10_000
    assert len(FORMATS["html"](Report(matrix(cells)))) < MOST


def test_what_changed_since_the_run_before_is_said() -> None:
    old = square(ipv4_specific="newest")
    assert "Since the run before" not in FORMATS["html"](Report(square()))
    text = FORMATS["html"](Report(square(), old))
    assert "Since the run before" in text
    assert re.search(r"<td>newest \S+ balanced</td>", text)


def test_a_guest_that_was_not_run_has_no_column_at_first_and_its_reason() -> None:
    one = matrix(
        {
            ("a", cell()): word("balanced"),
            ("b", cell()): Judgement(State.NOT_RUN, why="no image of it"),
        }
    )
    text = FORMATS["html"](Report(one))
    assert re.findall(r'type="checkbox"( checked)?> (\w)( \(not run\))?<', text) == [
        (" checked", "a", ""),
        ("", "b", " (not run)"),
    ]
    assert "not run: no image of it" in text


def test_a_console_is_shown_from_its_first_whole_line_on() -> None:
    assert tail(b"a\r\nb\x1b[0m\n") == "a\nb\\x1b[0m"
    long = b"".join(b"line %d\n" % number for number in range(9999))
    assert tail(long).split("\n")[0] in long.decode().split("\n")
    assert tail(long).endswith("line 9998")
    assert shown(b"\xff\n") == "\\\\xff"
