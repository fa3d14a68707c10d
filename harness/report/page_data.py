"""The data for the page's script: cells and rows as indexes into tables, so each text is there
once."""

from collections.abc import Hashable, Mapping, Sequence

import msgspec

from harness.matrix import Entry, Key, Matrix
from harness.matrix.recordings import Recordings
from harness.model import AXES, State, word
from harness.report.grades import glyph, style
from harness.report.grid import GridRow, GridSection, figure, percent
from harness.report.page_recordings import packed, tail
from harness.text import short

FILTERED = ("option", "protocol", "family", "bind", "failure", "tunables", "peer")
"""The axes that have a filter; the others appear only in the rows."""


class _Table:
    """Values and their numbers, in order of first use."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def __getitem__(self, value: Hashable) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> list[Hashable]:
        """All values, each at its number."""
        return list(self._numbers)


class _Tables:
    """The tables that cells point into."""

    def __init__(self, matrix: Matrix) -> None:
        self.guests = {name: number for number, name in enumerate(matrix.guests)}
        self.scenarios = _Table()
        self.points = _Table()
        self.texts = _Table()
        self.names = _Table()

    def text(self, value: str | None) -> int | None:
        """Return the number of a text, which is first made safe to show; None for None."""
        return None if value is None else self.texts[short(value)]

    def numbers(self, values: Mapping[str, float]) -> list[object]:
        """Return the number of the tuple of names, then the values; empty if there are none."""
        if not values:
            return []
        return [self.names[tuple(map(short, values))], *values.values()]


def encoded(matrix: Matrix, sections: Sequence[GridSection], recordings: Recordings) -> str:
    """Return the JSON for the page; no text in it can end the script element."""
    content = msgspec.json.encode(_data(matrix, sections, recordings))
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
    matrix: Matrix, sections: Sequence[GridSection], recordings: Recordings
) -> Mapping[str, object]:
    tables = _Tables(matrix)
    places: dict[tuple[str, Key], int] = {}
    cells = []
    for number, entry in enumerate(matrix.cells):
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
    chunks = packed(recordings, places)
    return {
        "guests": list(map(short, matrix.guests)),
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
        "consoles": {short(name): tail(text) for name, text in recordings.consoles.items()},
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
        tables.text(None if entry.verdict is None else word(entry.verdict)),
        tables.text(glyph(entry)),
        tables.text(style(entry)),
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
