"""The report as one HTML page that needs no network and no other file.

The whole table is in the HTML, so the page can be read and printed without JavaScript. The script
(page/*.js) filters it and shows the evidence for a cell. A guest's text is made safe three times:
it is made visible here, the template escapes it, and the script inserts it only as text.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from msgspec import Struct

from harness.claims import Finding
from harness.matrix import Entry, Matrix
from harness.matrix.changes import Comparison, compare, releases
from harness.model import State
from harness.report import changes, findings
from harness.report.answers import answers
from harness.report.change_lines import ChangeGroup, sayings
from harness.report.grades import MARKED, glyph, grade, shown_word, style
from harness.report.grid import DIFFERENT, GridRow, GridSection, legend, sections, shares
from harness.report.page_answers import page_answers
from harness.report.page_columns import PageColumn, page_columns, page_systems
from harness.report.page_data import encoded
from harness.report.provenance import headline, provenance
from harness.report.report import Report
from harness.text import short

if TYPE_CHECKING:
    import jinja2

SCRIPTS = (
    *("data.js", "charts_restart.js", "charts.js", "sentences.js", "evidence.js", "fold.js"),
    *("walk.js", "table.js", "compare.js", "answers.js", "address.js"),
)
STYLES = ("page.css", "tables.css", "dialog.css", "media.css", "charts.css")

Shown = Mapping[str, object]


class _Tail(Struct, frozen=True):
    """A part of the page below the matrix."""

    heading: str
    lines: Sequence[str]
    said: Sequence[ChangeGroup]


def render(report: Report) -> str:
    """Return the page."""
    matrix = report.matrix
    found = sections(matrix)
    columns, own = page_columns(matrix), matrix.by_guest
    answered = page_answers(answers(matrix))
    style, script = _asset(*STYLES), _asset(*SCRIPTS)
    page = _template().render(
        run=short(matrix.run.id),
        headline=short(headline(matrix)),
        answers=answered,
        systems=page_systems(columns),
        guests=[_guest(matrix, column, own[column.guest]) for column in columns],
        sections=[*_sections(columns, found)],
        different=DIFFERENT,
        marks=MARKED,
        legend=[short(text) for text in legend(matrix)],
        claims=_claims(findings.findings(matrix)),
        differences=[*_differences(report), *_releases(matrix)],
        headings=changes.HEADINGS,
        data=encoded(report, columns, found, answered.cells),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )
    return f"{page}\n"


@cache
def _template() -> "jinja2.Template":
    import jinja2  # takes 40 ms, which other formats and `--help` need not wait for

    loader = jinja2.PackageLoader("harness.report", "page")
    world = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return world.get_template("page.html")


@cache
def _asset(*names: str) -> str:
    """Return files of the page joined to the content of one `style` or `script` element."""
    folder = files("harness.report").joinpath("page")
    return "\n" + "".join(folder.joinpath(name).read_text("utf-8") for name in names)


def _hash(text: str) -> str:
    """Return the hash that allows exactly this text to run (Content Security Policy 3, 2.3.1)."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _guest(matrix: Matrix, column: PageColumn, own: Sequence[Entry]) -> Shown:
    name = column.guest
    why = next((cell.why for cell in own if cell.state is State.NOT_RUN), None)
    return {
        "name": column.name,
        "head": column.release,
        "system": column.details,
        "provenance": short(provenance(matrix, name)),
        "facts": [*_facts(matrix, name)],
        "answered": column.answered,
        "why": "" if column.answered or why is None else short(why),
    }


def _facts(matrix: Matrix, name: str) -> Iterator[tuple[str, str]]:
    for group in ("provenance", "facts"):
        values = matrix.guests[name].get(group)
        if isinstance(values, Mapping):
            yield from ((short(key), short(str(value))) for key, value in values.items())


def _sections(columns: Sequence[PageColumn], found: Sequence[GridSection]) -> Iterator[Shown]:
    """Yield the sections; those about servers are a board of their own."""
    first = next((section for section in found if section.server), None)
    for section in found:
        yield {**_section(columns, section), "first_server": section is first}


def _section(columns: Sequence[PageColumn], section: GridSection) -> Shown:
    return {
        "id": short(section.title),
        "scenario": short(section.scenario),
        "server": short(section.server),
        "sentence": short(section.sentence),
        "fixed": [f"{short(axis)} {short(value)}" for axis, value in section.common],
        "rows": [_row(columns, section, row) for row in section.rows],
    }


def _row(columns: Sequence[PageColumn], section: GridSection, row: GridRow) -> Shown:
    guests = (column.guest for column in columns)
    return {
        "label": short(section.label(row)),
        "differs": row.differs,
        "cells": [_cell(row.cells.get(guest, ())) for guest in guests],
    }


def _cell(entries: Sequence[Entry]) -> Shown | None:
    """Return a row's cell for one guest; all its entries have the same word."""
    if not entries:
        return None
    first = entries[0]
    said = short(shown_word(first))
    errno = ""
    if grade(first) is not None:  # only a known word is broken behind its colon
        said, _, errno = said.partition(":")
    return {
        "mark": glyph(first),
        "style": style(first),
        "word": said,
        "errno": errno,
        "share": shares(entries),
    }


def _claims(found: Sequence[Finding]) -> Shown:
    return {
        "summary": findings.summary(found),
        "findings": [
            {
                "id": one.claim.id,
                "heading": short(findings.heading(one)),
                "style": one.standing.value.replace(" ", "-").lower(),
                "sentence": short(one.claim.sentence),
                "source": short(one.claim.source),
                "tested": bool(one.tested),
                "lines": [
                    (line.standing or "", short(line.text))
                    for line in findings.sayings(one, whole=True)
                ],
            }
            for one in found
        ],
    }


def _differences(report: Report) -> Iterator[_Tail]:
    if report.before is None:
        return
    comparison = compare(report.before, report.matrix)
    heads = changes.heads([report.before, report.matrix], comparison)
    yield _tail("Since the run before", heads, comparison)


def _releases(matrix: Matrix) -> Iterator[_Tail]:
    for pair in releases(matrix).pairs:
        one = Comparison((pair,), {}, {})
        yield _tail(changes.between(pair), changes.settings(pair), one)


def _tail(heading: str, lines: Iterable[str], comparison: Comparison) -> _Tail:
    said = [
        ChangeGroup(one.kind, short(one.scenario), short(one.where), short(one.change), one.cells)
        for one in sayings(comparison.pairs)
    ]
    return _Tail(short(heading), [short(line) for line in lines], said)
