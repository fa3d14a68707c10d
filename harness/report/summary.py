"""A nightly run as one Markdown page for a CI: the changes first, the matrix last."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from harness.matrix.changes import Comparison, Kind
from harness.matrix.history import History
from harness.report import changes, markdown
from harness.report import history as histories
from harness.report.provenance import headline
from harness.report.report import Report
from harness.text import markdown as inert

LIMIT = 1_000_000
"""Bytes of a page. GitHub limits a step's summary to 1 MiB and rejects a larger one completely."""


class NightReport(Struct, frozen=True):
    """A nightly run; `sentences` has one for each problem that needs attention.

    `comparison` is with the run before; None on the first night.
    """

    report: Report
    history: History
    sentences: tuple[str, ...]
    comparison: Comparison | None = None

    @property
    def changed(self) -> int:
        """How many verdicts changed since the run before."""
        return 0 if self.comparison is None else self.comparison.count(Kind.CHANGED)


def render(night: NightReport) -> str:
    """Return the page; its end names the sections that were left out because they did not fit."""
    kept: list[str] = []
    left: list[str] = []
    room = LIMIT
    for name, lines in _sections(night):
        text = "\n".join(lines) + "\n"
        size = len(text.encode())
        if size <= room:
            kept.append(text)
            room -= size
        else:
            left.append(name)
    if left:
        kept.append(f"Left out because the page would be too large: {', '.join(left)}.\n")
    return "\n".join(kept)


def _sections(night: NightReport) -> Iterator[tuple[str, Sequence[str]]]:
    matrix = night.report.matrix
    yield "the head", [f"## {inert(headline(matrix))}"]
    if night.sentences:
        yield "what needs attention", [f"- {inert(one)}" for one in night.sentences]
    yield "what changed", ["### Since the run before", "", *_changes(night)]
    yield (
        "the history",
        ["### Over the last runs", "", *histories.page(night.history, steady=False)],
    )
    yield "the matrix", ["### Matrix", "", markdown.render(matrix)]


def _changes(night: NightReport) -> Iterator[str]:
    before = night.report.before
    if before is None or night.comparison is None:
        yield "There is no complete run before this one to compare with."
        return
    yield from changes.page([before, night.report.matrix], night.comparison)
