"""The matrix as CSV (RFC 4180): a row for each cell, for spreadsheets and data frames.

`AXES` have a column each. The other axes, the counts and the statistics are JSON in one column
each.
"""

import csv
import json
from collections.abc import Iterator, Mapping

from harness.matrix import Entry, Matrix
from harness.model import AXES, word
from harness.report.grid import figure
from harness.text import short

COLUMNS = (
    *("guest", "system", "release", "scenario", *AXES, "axes"),
    *("state", "verdict", "word", "share", "why", "repeats", "started", "seconds"),
    *("counts", "statistics"),
)

ACTIVE = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Characters at which a spreadsheet starts a formula; the last four are full-width forms (OWASP,
"CSV Injection")."""


def render(matrix: Matrix) -> str:
    """Return the table; its first line has the column names."""
    lines = _LineWriter()
    writer = csv.writer(lines)
    writer.writerow(COLUMNS)
    writer.writerows(_rows(matrix))
    return "".join(lines)


class _LineWriter(list[str]):
    """A list that `csv.writer` can write its lines to."""

    def write(self, line: str) -> None:
        """Keep a line."""
        self.append(line)


def _rows(matrix: Matrix) -> Iterator[list[str]]:
    for entry in matrix.cells:
        yield list(_row(entry, matrix.guests[entry.guest]))


def _row(entry: Entry, facts: Mapping[str, object]) -> Iterator[str]:
    yield _inert(entry.guest)
    yield from (_inert(str(facts.get(name) or "")) for name in ("system", "release"))
    yield _inert(entry.scenario)
    yield from (_inert(entry.axes.get(axis, "")) for axis in AXES)
    yield _json({axis: value for axis, value in entry.axes.items() if axis not in AXES})
    yield entry.state
    yield from (_inert(entry.verdict or ""), _inert(word(entry.verdict or "")))
    share = figure(entry)
    yield "" if share is None else f"{share:.6g}"
    yield _inert(entry.why or "")
    yield from (str(len(entry.repeats)), _inert(entry.started or ""), f"{entry.seconds:.3f}")
    yield from (_json(entry.counts), _json(entry.statistics))


def _json(values: Mapping[str, object]) -> str:
    """Return ASCII JSON; it begins with a brace, so a spreadsheet sees no formula."""
    return json.dumps(dict(values), separators=(",", ":")) if values else ""


def _inert(text: str) -> str:
    """Return a text that a spreadsheet does not read as a formula."""
    shown = short(text)
    return f"'{shown}" if shown.startswith(ACTIVE) else shown
