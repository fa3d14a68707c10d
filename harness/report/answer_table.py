"""The answers table in words: for a terminal, and as Markdown."""

from collections.abc import Iterator

from msgspec.structs import replace

from harness.report.answers import Answer, AnswerColumn, AnswerGroup, AnswerKind, AnswerTable
from harness.report.grades import GLYPHS
from harness.report.text_table import TextRow, lines
from harness.scenarios.sense import Grade
from harness.text import Paint, markdown, wrapped

NAMES = {"Darwin": "macOS"}
"""How people call a system that has another name in `uname -s`."""

UNSAID = {
    AnswerKind.MOOT: "does not arise",
    AnswerKind.UNCLEAR: "~ no clear answer",
    AnswerKind.CANNOT: "cannot be asked",
    AnswerKind.NOT_ASKED: "not asked",
}
"""What stands for an answer without words."""


def terminal(table: AnswerTable, width: int, paint: Paint) -> Iterator[str]:
    """Yield lines of at most `width` columns; none if the table is empty."""
    if not table.columns:
        return
    rows: list[TextRow] = []
    for group in _asked(table):
        sums = tuple("" if one is None else one.text for one in group.summaries)
        rows += [TextRow(""), TextRow(group.title, title=True)]
        rows += [
            TextRow(f"  {row.asked.asks}", tuple(map(said, row.answers))) for row in group.rows
        ]
        if any(sums):
            rows.append(TextRow("  in short", sums, title=True))
    yield from lines(["\n".join(_head(one)) for one in table.columns], rows, width, paint)
    yield ""
    yield from wrapped(legend(), width)


def page(table: AnswerTable) -> Iterator[str]:
    """Yield Markdown; nothing if the table is empty."""
    if not table.columns:
        return
    heads = ("<br>".join(map(markdown, _head(one))) for one in table.columns)
    yield f"| | {' | '.join(heads)} |"
    yield f"|---|{'---|' * len(table.columns)}"
    for group in _asked(table):
        sums = ("" if one is None else f"*{markdown(one.text)}*" for one in group.summaries)
        yield f"| **{markdown(group.title)}** | {' | '.join(sums)} |"
        for row in group.rows:
            texts = ("<br>".join(map(markdown, said(some).splitlines())) for some in row.answers)
            asked = f"{markdown(row.asked.asks)} (`{row.asked.scenario}`)"
            yield f"| {asked} | {' | '.join(texts)} |"
    yield ""
    yield f"{markdown(legend())}."


def _asked(table: AnswerTable) -> Iterator[AnswerGroup]:
    """Yield the groups with the questions that at least one system was asked."""
    for group in table.groups:
        rows = tuple(
            row
            for row in group.rows
            if any(one.kind is not AnswerKind.NOT_ASKED for some in row.answers for one in some)
        )
        if rows:
            yield replace(group, rows=rows)


def legend() -> str:
    """Return the meaning of the marks."""
    marks = " · ".join(f"{GLYPHS[grade]} {grade}" for grade in Grade)
    return f"{marks} · does not arise: asked, and no client could be affected"


def said(answers: tuple[Answer, ...]) -> str:
    """Return the answers of a column to one question: a line for each span of releases."""
    return "\n".join(map(_said, answers))


def _said(answer: Answer) -> str:
    words = "; ".join(f"{one.word} {one.where}".rstrip() for one in answer.said)
    text = UNSAID.get(answer.kind, words)
    mark = "" if answer.grade is None else f"{GLYPHS[answer.grade]} "
    return f"{mark}{text}{f' ({answer.span})' if answer.span else ''}"


def _head(column: AnswerColumn) -> tuple[str, str, str]:
    """Return a column's system, option and releases."""
    first, last = column.releases[0], column.releases[-1]
    releases = first if first == last else f"{first} – {last}"  # noqa: RUF001 - from, to
    return NAMES.get(column.system, column.system), f"SO_{column.option.upper()}", releases
