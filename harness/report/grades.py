"""How good an answer is, and the mark that says so. Each grade has a shape of its own, so reports
can be read without colours."""

from collections.abc import Mapping

from harness.matrix import Entry
from harness.model import word
from harness.report.grid import MARKS
from harness.scenarios import CATALOGUE
from harness.scenarios.sense import DEPENDS, FACT, LOSSLESS, NOTICED, Grade, Sense

GLYPHS: Mapping[Grade, str] = {
    LOSSLESS: "✓",
    NOTICED: "✗",
    DEPENDS: "±",
    FACT: "→",
}
"""The mark of each grade."""

MARKED = tuple((one.name.lower(), mark, one.value) for one, mark in GLYPHS.items())
"""For a legend: the class, the mark and the meaning of each grade."""

STRANGE = "•"
"""The mark of a word that this version does not know."""


MOOT = "does not arise"
"""What a cell says whose question has no sense on its kernel."""


def sense(entry: Entry) -> Sense | None:
    """Return what the verdict of a cell means; None if it has none, or an unknown one."""
    known = CATALOGUE.get(entry.scenario)
    head = word(entry.verdict or "").partition(":")[0]
    return known.words.get(head) if known is not None else None


def grade(entry: Entry) -> Grade | None:
    """Return how good the verdict of a cell is; None if it has none, or an unknown one.

    Nothing could be lost where the question does not arise, so that is only a fact.
    """
    found = sense(entry)
    if found is None:
        return None
    return FACT if is_moot(entry) else found.grade


def glyph(entry: Entry) -> str:
    """Return the mark of a cell: that of its grade, or of its state if it has no verdict."""
    if entry.verdict is None:
        return MARKS[entry.state]
    found = grade(entry)
    return STRANGE if found is None else GLYPHS[found]


def shown_word(entry: Entry) -> str:
    """Return a cell's word without its count; without a verdict, what became of the question."""
    if entry.verdict is not None:
        return word(entry.verdict)
    return MOOT if is_moot(entry) else entry.state.value


def is_moot(entry: Entry) -> bool:
    """Return whether a cell only shows that its question does not arise there."""
    known = CATALOGUE.get(entry.scenario)
    return known is not None and known.moot(entry.judgement)


def style(entry: Entry) -> str:
    """Return the class of a cell in the page: its grade, or its state if it has no verdict."""
    found = grade(entry)
    if found is not None:
        return found.name.lower()
    return entry.state.value if entry.verdict is None else "strange"
