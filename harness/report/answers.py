"""The answers table: what a server meets on each system, with the cells behind each answer.

An answer claims nothing that was not measured. Neighbouring releases share an answer only if each
of them gave it; a release that was not asked, or gave no verdict, has a span of its own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from harness.matrix import Entry, Matrix
from harness.matrix.evidence import Release, numbers
from harness.model import State, word
from harness.report.answer_questions import GROUPS, AskedGroup, AskedRow, Sums
from harness.report.answer_words import AnswerWord, depends_on, spoken
from harness.report.choices import COMPARED, OPTIONS, SPECIAL
from harness.scenarios import CATALOGUE
from harness.scenarios.sense import DEPENDS, LOSSLESS, NOTICED, Grade

SYSTEMS = ("Linux", "FreeBSD", "DragonFly", "NetBSD", "OpenBSD", "Darwin")
"""The order of columns; other systems follow by name."""


OURS = (State.NOT_RUN, State.INFRASTRUCTURE)
"""States that say nothing of a kernel."""


class AnswerKind(StrEnum):
    """What became of a question; only `MEASURED` has words."""

    MEASURED = "measured"
    MOOT = "does not arise"
    UNCLEAR = "no clear answer"
    CANNOT = "cannot be asked"
    NOT_ASKED = "not asked"


class Answer(Struct, frozen=True):
    """The answer of neighbouring releases to one question, with all cells that were asked.

    `span` is the releases in words, empty if they are all releases of the column. `where` names the
    axes that decide between several words, if they do. `why` is the most frequent reason of the
    cells that have no verdict.
    """

    kind: AnswerKind
    said: tuple[AnswerWord, ...]
    span: str
    guests: tuple[str, ...]
    cells: tuple[Entry, ...]
    where: tuple[str, ...] = ()
    why: str = ""

    @property
    def grade(self) -> Grade | None:
        """How good the answer is; `DEPENDS` if it has several words that are not equally good."""
        grades = {one.grade for one in self.said}
        if len(self.said) > 1 and grades not in ({LOSSLESS}, {NOTICED}):
            return DEPENDS
        return self.said[0].grade if self.said else None


class AnswerColumn(Struct, frozen=True):
    """A system and an option, with the guests and releases that were asked, oldest first."""

    system: str
    option: str
    releases: tuple[str, ...]
    guests: tuple[str, ...]


class AnswerRow(Struct, frozen=True):
    """One question, and for each column its answers, newest release first."""

    asked: AskedRow
    answers: tuple[tuple[Answer, ...], ...]

    @property
    def safe(self) -> bool:
        """Whether nothing was lost on any system and release of the table."""
        return bool(self.answers) and all(map(lossless, self.answers))


class AnswerSummary(Struct, frozen=True):
    """What a group of questions says of a column, in a few words."""

    grade: Grade
    text: str


class AnswerGroup(Struct, frozen=True):
    """Questions under one heading, and for each column a summary or None."""

    title: str
    rows: tuple[AnswerRow, ...]
    summaries: tuple[AnswerSummary | None, ...]


class AnswerTable(Struct, frozen=True):
    """The table: empty groups if no system has a release and a verdict."""

    columns: tuple[AnswerColumn, ...]
    groups: tuple[AnswerGroup, ...]


class _Kernel(Struct, frozen=True):
    """All guests of a system with one release, and their cells by scenario."""

    release: str
    guests: tuple[str, ...]
    cells: Mapping[str, Sequence[Entry]]


def answers(matrix: Matrix) -> AnswerTable:
    """Return the answers of a matrix; a system whose option it lacks has no column for it."""
    columns: list[AnswerColumn] = []
    found: list[tuple[tuple[Answer, ...], ...]] = []
    asked = [row for group in GROUPS for row in group.rows]
    for system, kernels in _kernels(matrix):
        for option in OPTIONS:
            every = tuple(tuple(_spans(kernels, row, option)) for row in asked)
            if any(answer.kind is AnswerKind.MEASURED for some in every for answer in some):
                releases = tuple(kernel.release for kernel in kernels)
                guests = tuple(guest for kernel in kernels for guest in kernel.guests)
                columns.append(AnswerColumn(system, option, releases, guests))
                found.append(every)
    if not columns:
        return AnswerTable((), ())
    rows = iter([AnswerRow(row, tuple(one[at] for one in found)) for at, row in enumerate(asked)])
    return AnswerTable(tuple(columns), tuple(_group(group, rows) for group in GROUPS))


def _group(group: AskedGroup, rows: Iterator[AnswerRow]) -> AnswerGroup:
    own = tuple(next(rows) for _ in group.rows)
    columns = range(len(own[0].answers))
    return AnswerGroup(group.title, own, tuple(_summary(group.sums, own, at) for at in columns))


def lossless(answers: Iterable[Answer]) -> bool:
    """Whether all releases of a column gave a verdict, and none lost anything."""
    return all(one.kind is AnswerKind.MEASURED and one.grade is LOSSLESS for one in answers)


def _summary(sums: Sums, rows: Sequence[AnswerRow], column: int) -> AnswerSummary | None:
    """Sum up a column; None if there is nothing to sum up, or nothing was measured.

    A way counts if it loses nothing on the newest release; its span says on which others.
    """
    own = [(row.asked, row.answers[column]) for row in rows if not row.asked.remedy]
    told = [(row, some) for row, some in own if any(one.said for one in some)]
    if sums is Sums.NOTHING or not told:
        return None
    if sums is Sums.WAYS:
        ways = [f"{row.brief} {some[0].span}".strip() for row, some in told if lossless(some[:1])]
        found = AnswerSummary(NOTICED, f"none of {len(told)} ways")
        return AnswerSummary(LOSSLESS, ", ".join(ways)) if ways else found
    words = [[word for one in some for word in one.said] for _, some in told]
    bad = sum(any(word.grade is not LOSSLESS for word in some) for some in words)
    count = f"{bad} of {len(told)}" if bad else f"none of {len(told)}"
    return AnswerSummary(NOTICED if bad else LOSSLESS, f"clients notice {count}")


def _kernels(matrix: Matrix) -> Iterator[tuple[str, tuple[_Kernel, ...]]]:
    """Yield each system with its releases, oldest first; guests of one release count together.

    A guest that was asked nothing, because it did not start, does not count.
    """
    by_guest = matrix.by_guest
    systems: dict[str, dict[tuple[Release, str], list[str]]] = {}
    for name, facts in matrix.guests.items():
        system, release = facts.get("system"), facts.get("release")
        asked = any(cell.state not in OURS for cell in by_guest[name])
        if asked and isinstance(system, str) and isinstance(release, str):
            number = numbers(release)[:COMPARED]
            label = ".".join(map(str, number)) if number else release
            systems.setdefault(system, {}).setdefault((number, label), []).append(name)
    order = {name: at for at, name in enumerate(SYSTEMS)}
    for system in sorted(systems, key=lambda name: (order.get(name, len(order)), name)):
        yield (
            system,
            tuple(
                _kernel(label, guests, by_guest)
                for (_, label), guests in sorted(systems[system].items())
            ),
        )


def _kernel(label: str, guests: Sequence[str], by_guest: Mapping[str, Sequence[Entry]]) -> _Kernel:
    cells: dict[str, list[Entry]] = {}
    for guest in guests:
        for entry in by_guest[guest]:
            if entry.state not in OURS:
                cells.setdefault(entry.scenario, []).append(entry)
    return _Kernel(label, tuple(guests), cells)


def _asked(kernel: _Kernel, row: AskedRow, option: str) -> tuple[Entry, ...]:
    """Return the cells of a kernel that answer a question: no special case but the one asked."""
    wanted = {**row.axes, "option": option}.items()
    special = SPECIAL - row.axes.keys()
    return tuple(
        cell
        for cell in kernel.cells.get(row.scenario, ())
        if wanted <= cell.axes.items() and not special & cell.axes.keys()
    )


class _Told(Struct, frozen=True):
    """What one kernel answered: its cells, and the kind and the words that a span shares."""

    kernel: _Kernel
    cells: tuple[Entry, ...]
    kind: AnswerKind
    words: frozenset[str]


def _told(kernel: _Kernel, row: AskedRow, option: str) -> _Told:
    cells = _asked(kernel, row, option)
    scenario = CATALOGUE[row.scenario]
    moot = [cell for cell in cells if scenario.moot(cell.judgement)]
    said = {
        word(cell.verdict).partition(":")[0]
        for cell in cells
        if cell.verdict is not None and cell not in moot
    }
    # A word that this version does not know spoils the answer: it may contradict the others.
    if said and said <= scenario.words.keys():
        return _Told(kernel, cells, AnswerKind.MEASURED, frozenset(said))
    unclear = any(cell.state in (State.INCONCLUSIVE, State.MEASURED) for cell in cells)
    if said or (unclear and not moot):
        kind = AnswerKind.UNCLEAR
    elif moot:
        kind = AnswerKind.MOOT
    else:
        kind = AnswerKind.CANNOT if cells else AnswerKind.NOT_ASKED
    return _Told(kernel, cells, kind, frozenset())


def _spans(kernels: Sequence[_Kernel], row: AskedRow, option: str) -> Iterator[Answer]:
    """Yield the answers to a question, newest release first."""
    group: list[_Told] = []
    for told in (_told(kernel, row, option) for kernel in reversed(kernels)):
        if group and (told.kind, told.words) != (group[0].kind, group[0].words):
            yield _answer(group, len(kernels))
            group = []
        group.append(told)
    yield _answer(group, len(kernels))


def _answer(group: Sequence[_Told], of: int) -> Answer:
    cells = tuple(cell for told in group for cell in told.cells)
    newest, oldest = group[0].kernel.release, group[-1].kernel.release
    span = newest if newest == oldest else f"{oldest} – {newest}"  # noqa: RUF001 - from, to
    said = spoken(group[0].words, cells)
    whys = [cell.why for cell in cells if cell.why is not None]
    return Answer(
        group[0].kind,
        said,
        "" if len(group) == of else span,
        tuple(guest for told in group for guest in told.kernel.guests),
        cells,
        depends_on(said),
        max(whys, key=whys.count, default=""),
    )
