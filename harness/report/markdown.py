"""The matrix as GitHub-flavoured Markdown for a README or an issue, with guests as columns."""

from collections.abc import Iterator, Mapping, Sequence

from harness.matrix import Entry, Matrix
from harness.matrix.changes import releases
from harness.model import State, word
from harness.report import changes, findings
from harness.report.grid import DIFFERENT, MARKS, GridSection, Notes, legend, sections, shares
from harness.report.provenance import headline, provenance, system
from harness.text import clip, markdown

REASON = 400
"""Characters of a reason. The tail of a console is longer; matrix.json has all of it."""


def render(matrix: Matrix) -> str:
    """Return the table, its footnotes, and how each guest was made."""
    return "\n".join(_lines(matrix)) + "\n"


def _lines(matrix: Matrix) -> Iterator[str]:
    notes = Notes()
    yield f"{markdown(headline(matrix))}"
    yield ""
    names = [f"{markdown(guest)}<br>{markdown(system(matrix, guest))}" for guest in matrix.guests]
    yield _row(["scenario", "where", *names])
    yield _row(["---"] * (len(names) + 2))
    found = sections(matrix)
    for section in found:
        yield from _section(section, list(matrix.guests), notes)
    yield ""
    for section in found:
        points = ", ".join(f"{axis} {value}" for axis, value in section.fixed)
        always = f" (always: {markdown(points)})" if points else ""
        yield f"- **{markdown(section.scenario)}**: {markdown(section.sentence)}{always}"
    yield ""
    yield f"{'; '.join(map(markdown, legend(matrix)))}."
    yield ""
    yield from (f"- {markdown(provenance(matrix, guest))}" for guest in matrix.guests)
    yield from changes.releases_page(releases(matrix))
    yield ""
    yield from findings.page(findings.findings(matrix))
    yield ""
    yield from (
        f"[^{number}]: {state}: {markdown(clip(why, REASON))}" for number, state, why in notes
    )


def _section(section: GridSection, guests: Sequence[str], notes: Notes) -> Iterator[str]:
    for number, row in enumerate(section.rows):
        name = f"**{markdown(section.scenario)}**" if number == 0 else ""
        words = [_word(row.cells, guest, notes) for guest in guests]
        mark = f"{DIFFERENT} " if row.differs else ""
        yield _row([name, mark + markdown(section.label(row)), *words])


def _word(cells: Mapping[str, Sequence[Entry]], guest: str, notes: Notes) -> str:
    found = cells.get(guest)
    if not found:
        return ""
    references = "".join(f"[^{number}]" for number in notes.numbers(found))
    if found[0].state is not State.MEASURED:
        return markdown(MARKS[found[0].state]) + references
    return markdown(f"{word(found[0].verdict or '')} {shares(found)}".rstrip()) + references


def _row(columns: Sequence[str]) -> str:
    return f"| {' | '.join(columns)} |"
