"""The answers table as the page shows it: texts that are safe, and lists of the cells behind."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from harness.matrix import Entry
from harness.report.answer_words import AnswerWord
from harness.report.answers import Answer, AnswerKind, AnswerRow, AnswerTable
from harness.report.grades import GLYPHS, MARKED
from harness.report.grid import shares
from harness.scenarios.sense import LOSSLESS, NOTICED, Grade
from harness.text import short

Shown = Mapping[str, object]

GLYPH_OF_KIND: Mapping[AnswerKind, str] = {
    AnswerKind.MOOT: "–",  # noqa: RUF001 - a dash, on purpose
    AnswerKind.UNCLEAR: "~",
    AnswerKind.CANNOT: "–",  # noqa: RUF001 - a dash, on purpose
    AnswerKind.NOT_ASKED: "·",
}
"""The marks of answers without a word."""

DOT = " · "
"""Between the axes of a place; a column of the table has no room for it."""

CERTAIN = (LOSSLESS, NOTICED)
"""Grades of a word that hold whatever the other words of its answer are."""


class PageAnswers(Struct, frozen=True):
    """What the template shows, and the cells behind each link, by the link's number."""

    columns: Sequence[Shown]
    groups: Sequence[Shown]
    legend: Sequence[tuple[str, str, str]]
    cells: Sequence[tuple[Entry, ...]]


def page_answers(table: AnswerTable) -> PageAnswers:
    """Return the table for the page."""
    cells: list[tuple[Entry, ...]] = []
    groups = [
        {
            "title": group.title,
            "summaries": [
                one and {"style": _style(one.grade), "mark": GLYPHS[one.grade], "text": one.text}
                for one in group.summaries
            ],
            "rows": [_row(row, cells) for row in group.rows],
        }
        for group in table.groups
    ]
    columns = [
        {
            "system": short(column.system),
            "releases": _releases(column.releases),
            "option": f"SO_{column.option.upper()}",
        }
        for column in table.columns
    ]
    return PageAnswers(columns, groups, [*_legend(table)], cells)


def _releases(releases: Sequence[str]) -> str:
    if len(releases) == 1:
        return short(releases[0])
    ends = f"{releases[0]} – {releases[-1]}"  # noqa: RUF001 - from, to
    return short(f"{ends} ({len(releases)})")


def _legend(table: AnswerTable) -> Iterator[tuple[str, str, str]]:
    """Yield style, mark and meaning of each mark; of those without a word only what there is."""
    yield from MARKED
    kinds = {
        answer.kind
        for group in table.groups
        for row in group.rows
        for some in row.answers
        for answer in some
    }
    if AnswerKind.UNCLEAR in kinds:
        yield "inconclusive", GLYPH_OF_KIND[AnswerKind.UNCLEAR], AnswerKind.UNCLEAR.value


def _style(grade: Grade | None) -> str:
    return "unasked" if grade is None else grade.name.lower()


def _row(row: AnswerRow, cells: list[tuple[Entry, ...]]) -> Shown:
    return {
        "asks": row.asked.asks,
        "scenario": row.asked.scenario,
        "remedy": row.asked.remedy,
        "safe": row.safe,
        "columns": [[_answer(one, cells) for one in some] for some in row.answers],
    }


def _answer(answer: Answer, cells: list[tuple[Entry, ...]]) -> Shown:
    return {
        "span": short(answer.span.replace(" ", "")),
        "words": [_word(one, answer, cells) for one in answer.said]
        or [
            {
                "style": "inconclusive" if answer.kind is AnswerKind.UNCLEAR else "unasked",
                "mark": GLYPH_OF_KIND[answer.kind],
                "word": answer.kind.value,
                "grade": "",
                "share": "",
                "where": "",
                "why": short(answer.why),
                "cells": _numbered(answer.cells, cells),
            }
        ],
    }


def _word(one: AnswerWord, answer: Answer, cells: list[tuple[Entry, ...]]) -> Shown:
    grade = one.grade if one.grade in CERTAIN else answer.grade or one.grade
    return {
        "style": _style(grade),
        "mark": GLYPHS[grade],
        "word": one.word,
        "grade": grade.value,
        "share": shares(one.cells),
        "where": short(one.where.replace(DOT, " ")),
        "why": "",
        "cells": _numbered(one.cells, cells),
    }


def _numbered(some: tuple[Entry, ...], cells: list[tuple[Entry, ...]]) -> int | None:
    """Return the number of a list of cells, which is new; None if there are none."""
    if not some:
        return None
    cells.append(some)
    return len(cells) - 1
