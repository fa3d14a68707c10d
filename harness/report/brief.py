"""A matrix in one line a scenario: each system's words, and how many of its cells said them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from harness.matrix import Entry, Matrix
from harness.matrix.evidence import numbers, release_order
from harness.model import State
from harness.report.answer_table import NAMES
from harness.report.answer_words import head
from harness.report.answers import SYSTEMS
from harness.report.choices import COMPARED
from harness.report.grid import MARKS
from harness.report.text_table import TextRow, lines
from harness.scenarios import CATALOGUE
from harness.text import Paint, markdown, wrapped

MOST = 4
"""Words named of one system; the number of the others follows."""

NEVER_UP = (State.NOT_RUN, State.INFRASTRUCTURE)
"""States that say nothing of a system."""

SILENT = (State.INCONCLUSIVE, State.INFRASTRUCTURE)
"""States that are counted beside the words, because you have to look at these cells."""


class BriefRow(Struct, frozen=True):
    """A scenario and its words on each system; a text is empty if the system was not asked."""

    scenario: str
    texts: tuple[str, ...]


class Brief(Struct, frozen=True):
    """The systems with their releases, and a row for each scenario in the catalogue's order."""

    heads: tuple[tuple[str, str], ...]
    rows: tuple[BriefRow, ...]


def summarised(matrix: Matrix) -> bool:
    """Whether a matrix is too mixed for its rows: a merge, or guests of several systems."""
    up = {cell.guest for cell in matrix.cells if cell.state not in NEVER_UP}
    systems = {matrix.guests[guest].get("system") for guest in up}
    return bool(matrix.run.merged) or len(systems) > 1


def brief(matrix: Matrix) -> Brief:
    """Return the summary of a matrix."""
    systems: dict[str, list[str]] = {}
    for guest, facts in matrix.guests.items():
        systems.setdefault(str(facts.get("system") or "unknown"), []).append(guest)
    found: dict[str, dict[str, list[Entry]]] = {}
    for cell in matrix.cells:
        system = str(matrix.guests[cell.guest].get("system") or "unknown")
        found.setdefault(cell.scenario, {}).setdefault(system, []).append(cell)
    order = {name: at for at, name in enumerate(CATALOGUE)}
    names = sorted(found, key=lambda name: (order.get(name, len(order)), name))
    known = {name: at for at, name in enumerate(SYSTEMS)}
    columns = sorted(systems, key=lambda name: (known.get(name, len(known)), name))
    return Brief(
        tuple((NAMES.get(one, one), _releases(matrix, systems[one])) for one in columns),
        tuple(
            BriefRow(name, tuple(_words(found[name].get(one, ())) for one in columns))
            for name in names
        ),
    )


def _releases(matrix: Matrix, guests: Iterable[str]) -> str:
    """Return the first and the last release of a system, by the numbers that matter."""
    every = sorted(
        (str(one) for guest in guests if (one := matrix.guests[guest].get("release"))),
        key=release_order,
    )
    texts = [".".join(map(str, numbers(one)[:COMPARED])) or one for one in every]
    ends = dict.fromkeys((texts[0], texts[-1])) if texts else ("never up",)
    return " – ".join(ends)  # noqa: RUF001 - from, to


def _words(cells: Sequence[Entry]) -> str:
    said = Counter(head(cell) for cell in cells if cell.verdict is not None)
    texts = [f"{one} {count}" for one, count in said.most_common(MOST)]
    if len(said) == 1:
        texts = [*said]
    if len(said) > MOST:
        texts.append(f"{len(said) - MOST} more words")
    states: Mapping[State, int] = Counter(cell.state for cell in cells)
    texts += [f"{MARKS[one]} {states[one]}" for one in SILENT if states.get(one)]
    if not texts and cells:
        texts = [MARKS[cells[0].state]]
    return ", ".join(texts)


def terminal(found: Brief, width: int, paint: Paint) -> Iterator[str]:
    """Yield lines of at most `width` columns."""
    rows = [TextRow(row.scenario, row.texts) for row in found.rows]
    yield from lines(["\n".join(texts) for texts in found.heads], rows, width, paint)
    yield ""
    yield from wrapped(LEGEND, width)


def page(found: Brief) -> Iterator[str]:
    """Yield Markdown."""
    heads = ("<br>".join(map(markdown, texts)) for texts in found.heads)
    yield f"| scenario | {' | '.join(heads)} |"
    yield f"|---|{'---|' * len(found.heads)}"
    for row in found.rows:
        yield f"| **{markdown(row.scenario)}** | {' | '.join(map(markdown, row.texts))} |"
    yield ""
    yield f"{markdown(LEGEND)}."


LEGEND = "A word is a verdict, a number its cells · ~ inconclusive · ! a failure of the harness"
