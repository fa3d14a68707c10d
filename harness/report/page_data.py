"""The data for the page's script: cells and rows as indexes into tables, so each text is there
once."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from harness.matrix import Entry, Key
from harness.model import AXES, State
from harness.report.account import Account, account
from harness.report.count_titles import title
from harness.report.fold import Point
from harness.report.grades import glyph, shown_word, style
from harness.report.grid import GridRow, GridSection, figure, percent
from harness.report.page_columns import PageColumn
from harness.report.page_recordings import packed, tail
from harness.report.report import Report
from harness.scenarios import CATALOGUE
from harness.text import short

FILTERED = (
    *("option", "protocol", "family", "bind", "failure", "tunables", "peer"),
    *("server", "traffic"),
)
"""The axes that have a filter; the others appear only in the rows."""


Value = TypeVar("Value", bound=Hashable)


class _Table(Generic[Value]):
    """Values and their numbers, in order of first use."""

    def __init__(self) -> None:
        self._numbers: dict[Value, int] = {}

    def __getitem__(self, value: Value) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> list[Value]:
        """All values, each at its number."""
        return list(self._numbers)


class _Tables:
    """The tables that cells point into."""

    def __init__(self, columns: Sequence[PageColumn]) -> None:
        self.guests = {column.guest: number for number, column in enumerate(columns)}
        self.accounts: _Table[Account] = _Table()
        self.scenarios: _Table[str] = _Table()
        self.points: _Table[Point] = _Table()
        self.texts: _Table[str] = _Table()
        self.names: _Table[tuple[str, ...]] = _Table()

    def text(self, value: str | None) -> int | None:
        """Return the number of a text, which is first made safe to show; None for None."""
        return None if value is None else self.texts[short(value)]

    def numbers(self, values: Mapping[str, float]) -> list[object]:
        """Return the number of the tuple of names, then the values; empty if there are none."""
        if not values:
            return []
        return [self.names[tuple(map(short, values))], *values.values()]


def encoded(
    report: Report,
    columns: Sequence[PageColumn],
    sections: Sequence[GridSection],
    links: Sequence[Sequence[Entry]],
) -> str:
    """Return the JSON for the page; no text in it can end the script element.

    `links` are the cells behind each link of the answers table.
    """
    content = msgspec.json.encode(_data(report, columns, sections, links))
    # Only these four characters can end a script's text in HTML, or a line in JavaScript (HTML,
    # 4.12.1.3; ECMA-262, 12.3). They occur only inside JSON strings, where they can be escaped.
    return (
        content.decode()
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("\N{LINE SEPARATOR}", "\\u2028")
        .replace("\N{PARAGRAPH SEPARATOR}", "\\u2029")
    )


def _data(
    report: Report,
    columns: Sequence[PageColumn],
    sections: Sequence[GridSection],
    links: Sequence[Sequence[Entry]],
) -> Mapping[str, object]:
    tables = _Tables(columns)
    places: dict[tuple[str, Key], int] = {}
    cells = []
    for number, entry in enumerate(report.matrix.cells):
        places[entry.guest, entry.key] = number
        cells.append(_cell(entry, tables))
    rows = [
        [
            tables.scenarios[section.scenario],
            _values(section, row),
            [
                [tables.guests[guest], [places[guest, entry.key] for entry in entries]]
                for guest, entries in row.cells.items()
            ],
        ]
        for section in sections
        for row in section.rows
    ]
    chunks = packed(report.recordings, places)
    return {
        "guests": [column.name for column in columns],
        "systems": [column.system for column in columns],
        "heads": [f"{column.system} {column.release}" for column in columns],
        "scenarios": [short(str(name)) for name in tables.scenarios.values],
        "points": tables.points.values,
        "texts": tables.texts.values,
        "names": tables.names.values,
        "states": list(State),
        "filtered": FILTERED,
        "cells": cells,
        "rows": rows,
        "replies": [
            [tables.guests[guest], tables.scenarios[scenario], text]
            for (guest, scenario), text in chunks.items()
        ],
        "consoles": {short(name): tail(text) for name, text in report.recordings.consoles.items()},
        "accounts": [msgspec.structs.astuple(one) for one in tables.accounts.values],
        "titles": [[title(name) for name in names] for names in tables.names.values],
        "links": [[places[entry.guest, entry.key] for entry in some] for some in links],
        "words": _words(sections),
        "subjects": _subjects(sections),
    }


def _subjects(sections: Sequence[GridSection]) -> Mapping[str, str]:
    """Return what the verdicts of each scenario are about, such as "queued connections"."""
    names = [section.scenario for section in sections if section.scenario in CATALOGUE]
    return {name: CATALOGUE[name].subject for name in names}


def _words(sections: Sequence[GridSection]) -> Mapping[str, Mapping[str, str]]:
    """Return what the words of each scenario mean, in the words that a search looks at."""
    return {
        section.scenario: {
            word: f"{sense.grade} {sense.happened} {sense.means} {sense.do}"
            for word, sense in CATALOGUE[section.scenario].words.items()
        }
        for section in sections
        if section.scenario in CATALOGUE
    }


def _values(section: GridSection, row: GridRow) -> list[object]:
    """Return the parts of a row's label: axis, values, and whether the axis name is left out."""
    fixed = [axis for axis, _ in section.fixed]
    return [
        [short(axis), list(map(short, some)), axis in AXES]
        for axis, some in row.values
        if axis not in fixed
    ]


def _cell(entry: Entry, tables: _Tables) -> list[object]:
    """Return a cell in the order in which `cellAt()` in data.js reads it.

    `repeats` is left out if the cell was asked only once.
    """
    share = figure(entry)
    point = tuple((short(axis), short(value)) for axis, value in entry.axes.items())
    fields: list[object] = [
        tables.guests[entry.guest],
        tables.scenarios[entry.scenario],
        tables.points[point],
        list(State).index(entry.state),
        tables.text(entry.verdict),
        tables.text(shown_word(entry)),
        tables.text(glyph(entry)),
        tables.text(style(entry)),
        tables.accounts[account(entry)],
        tables.text(entry.why),
        None if share is None else [round(share, 6), percent(share)],
        tables.numbers(entry.counts),
        tables.numbers(entry.statistics),
        tables.text(entry.started),
        entry.seconds,
    ]
    if len(entry.repeats) > 1:
        fields.append(
            [
                [
                    tables.text(one.verdict or one.state),
                    tables.text(one.why),
                    tables.numbers(one.counts),
                    tables.numbers(one.statistics),
                ]
                for one in entry.repeats
            ]
        )
    return fields
