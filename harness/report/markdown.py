"""The matrix as GitHub-flavoured Markdown for a README or an issue, with guests as columns."""

from collections.abc import Iterator, Mapping, Sequence

from harness.matrix import Entry, Matrix
from harness.matrix.changes import releases
from harness.model import State, word
from harness.report import answer_table, brief, changes, findings, server_table
from harness.report.answers import answers
from harness.report.grid import (
    DIFFERENT,
    MARKS,
    NOT_ASKED,
    GridSection,
    Notes,
    legend,
    shares,
)
from harness.report.provenance import headline, origin, provenance, system
from harness.report.row_choice import ALL, RowChoice
from harness.text import clip, markdown

LIMIT = 65_536
"""Characters that GitHub takes in an issue or a comment (its API rejects a longer body)."""

ROOM = 300
"""Characters kept free for the sentence that names what was left out."""

REASON = 400
"""Characters of a reason. The tail of a console is longer; matrix.json has all of it."""


def render(matrix: Matrix, choice: RowChoice = ALL) -> str:
    """Return the answers, the table, its footnotes, and how each guest was made.

    Unless `choice` asks for all rows, the page has at most `LIMIT` characters: rows that do not fit
    become a line for each scenario, and the end of the page names what was left out.
    """
    shown = choice.of(matrix)
    whole = choice.rows(shown)
    texts = [text for _, text in _sections(shown, choice, whole)]
    if choice.full or len("\n".join(texts)) <= LIMIT:
        return "\n".join(texts)
    room, kept = LIMIT - ROOM, list[str]()
    left = ["the rows"] if whole else []
    for name, text in _sections(shown, choice, False):
        if len(text) < room:
            kept.append(text)
            room -= len(text) + 1
        else:
            left.append(name)
    kept.append(f"Left out, because a comment on GitHub has no room: {', '.join(left)}.\n")
    return "\n".join(kept)


def _sections(matrix: Matrix, choice: RowChoice, whole: bool) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each section, the most important first."""
    for name, lines in _parts(matrix, choice, whole):
        yield name, "\n".join(lines) + "\n"


def _parts(matrix: Matrix, choice: RowChoice, whole: bool) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the name and the lines of each section."""
    notes = Notes()
    yield "the head", [markdown(headline(matrix))]
    if not choice.narrow:
        table = answers(matrix)
        if table.columns:
            yield "the answers", [*answer_table.page(table)]
        if servers := [*server_table.page(matrix)]:
            yield "the servers", servers
    if whole:
        found = choice.sections(matrix)
        yield "the rows", [*_rows(matrix, found, notes)]
        yield "the questions", [*_questions(found), "", *_legend(matrix)]
        yield "the guests", [f"- {markdown(provenance(matrix, name))}" for name in matrix.guests]
    else:
        yield "a line for each scenario", [*brief.page(brief.brief(matrix))]
        yield "the guests", [f"- {markdown(origin(matrix, name))}" for name in matrix.guests]
    if not choice.narrow:
        if changed := [*changes.releases_page(releases(matrix))]:
            yield "what changed from release to release", changed[1:]
        yield "the claims", [*findings.page(findings.findings(matrix))]
    if reasons := [
        f"[^{number}]: {state}: {markdown(clip(why, REASON))}" for number, state, why in notes
    ]:
        yield "the reasons", reasons


def _rows(matrix: Matrix, found: Sequence[GridSection], notes: Notes) -> Iterator[str]:
    names = [f"{markdown(guest)}<br>{markdown(system(matrix, guest))}" for guest in matrix.guests]
    yield _row(["scenario", "where", *names])
    yield _row(["---"] * (len(names) + 2))
    for section in found:
        yield from _section(section, list(matrix.guests), notes)


def _questions(found: Sequence[GridSection]) -> Iterator[str]:
    for section in found:
        points = ", ".join(f"{axis} {value}" for axis, value in section.common)
        always = f" (always: {markdown(points)})" if points else ""
        yield f"- **{markdown(section.title)}**: {markdown(section.sentence)}{always}"


def _legend(matrix: Matrix) -> Iterator[str]:
    yield f"{'; '.join(map(markdown, legend(matrix)))}."


def _section(section: GridSection, guests: Sequence[str], notes: Notes) -> Iterator[str]:
    for number, row in enumerate(section.rows):
        name = f"**{markdown(section.title)}**" if number == 0 else ""
        words = [_word(row.cells, guest, notes) for guest in guests]
        mark = f"{DIFFERENT} " if row.differs else ""
        yield _row([name, mark + markdown(section.label(row)), *words])


def _word(cells: Mapping[str, Sequence[Entry]], guest: str, notes: Notes) -> str:
    found = cells.get(guest)
    if not found:
        return NOT_ASKED
    references = "".join(f"[^{number}]" for number in notes.numbers(found))
    if found[0].state is not State.MEASURED:
        return markdown(MARKS[found[0].state]) + references
    return markdown(f"{word(found[0].verdict or '')} {shares(found)}".rstrip()) + references


def _row(columns: Sequence[str]) -> str:
    return f"| {' | '.join(columns)} |"
