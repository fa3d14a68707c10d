"""What the restart of servers loses, as Markdown: a row for each way, a column for each kernel."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from harness.matrix import Entry, Matrix
from harness.model import TUNABLES, State
from harness.report.grades import glyph, grade
from harness.report.grid import NOT_ASKED
from harness.report.provenance import system
from harness.scenarios import restart
from harness.scenarios.sense import LOSSLESS, NOTICED
from harness.text import markdown

AS_FOUND = "as found"

CLEAR = 1 / 2000
"""Losing less than this is nothing to tell in brief: the next run may see none of it."""


class ServerRow(Struct, frozen=True):
    """A way to restart a server, and its cells: by guest and setting, at both loads."""

    server: str
    way: str
    cells: Mapping[tuple[str, str], Mapping[str, Entry]]

    @property
    def measured(self) -> tuple[Entry, ...]:
        """Its cells that have a verdict."""
        every = (one for at in self.cells.values() for one in at.values())
        return tuple(one for one in every if one.state is State.MEASURED)

    @property
    def telling(self) -> bool:
        """Whether it clearly loses something anywhere."""
        return any(
            (grade(one) is NOTICED and one.statistics.get("lost_share", 1.0) >= CLEAR)
            or (one.verdict or "").startswith("down")
            for one in self.measured
        )

    @property
    def sum(self) -> str:
        """What can be said of all its cells together if it is not `telling`."""
        grades = {grade(one) for one in self.measured}
        if NOTICED in grades:
            return "Fewer than 1 of 2000 were lost"
        return "Nothing was lost" if grades == {LOSSLESS} else "Some were late, none was lost"


def rows(matrix: Matrix) -> tuple[ServerRow, ...]:
    """Return the rows of all servers that the run asked about, in its order."""
    found: dict[tuple[str, str], dict[tuple[str, str], dict[str, Entry]]] = {}
    for cell in matrix.cells:
        if cell.scenario == restart.ID:
            axes = cell.axes
            row = found.setdefault((axes.get("server", ""), axes.get("restart", "")), {})
            column = row.setdefault((cell.guest, axes.get(TUNABLES, "")), {})
            column[axes.get("traffic", "")] = cell
    return tuple(ServerRow(server, way, cells) for (server, way), cells in found.items())


def page(matrix: Matrix, *, brief: bool = False) -> Iterator[str]:
    """Yield the lines of the table; nothing if no server was asked about.

    With `brief`, there is a row for each server, only the heavy load counts, and ways that clearly
    lose nothing anywhere are named in sentences.
    """
    found = tuple(map(_heavy, rows(matrix))) if brief else rows(matrix)
    if not found:
        return
    columns = tuple(dict.fromkeys(at for row in found for at in row.cells))
    heads = [f"{markdown(system(matrix, guest))}<br>{_setting(said)}" for guest, said in columns]
    yield f"| server | restarts by | {' | '.join(heads)} |"
    yield f"|---|---|{'---|' * len(columns)}"
    lines: dict[str, list[Sequence[str]]] = {}
    for row in found:
        if row.telling or not brief:
            words = [_word(row.cells.get(column, {})) for column in columns]
            line = lines.setdefault(row.server if brief else f"{row.server} {row.way}", [])
            line.append((markdown(row.way), *words))
    for name, ways in lines.items():
        told = map("<br>".join, zip(*ways, strict=True))
        yield f"| {markdown(name.partition(' ')[0])} | {' | '.join(told)} |"
    if brief:
        yield from _sums(row for row in found if row.measured and not row.telling)


def _sums(found: Iterable[ServerRow]) -> Iterator[str]:
    """Yield a paragraph with a sentence for each kind of ways without a row."""
    by_sum: dict[str, list[ServerRow]] = {}
    for row in found:
        by_sum.setdefault(row.sum, []).append(row)
    if by_sum:
        yield ""
    for said in sorted(by_sum):
        yield f"{said}: {_named(by_sum[said])}."


def _heavy(row: ServerRow) -> ServerRow:
    """Return the row without its cells at other loads."""
    cells = {
        column: {traffic: one for traffic, one in at.items() if traffic == restart.HEAVY}
        for column, at in row.cells.items()
    }
    return ServerRow(row.server, row.way, cells)


def _setting(said: str) -> str:
    return markdown(said.rpartition(".")[2]) if said else AS_FOUND


def _named(found: Iterable[ServerRow]) -> str:
    """Return the ways by server: `nginx` (reload, upgrade)."""
    ways: dict[str, list[str]] = {}
    for row in found:
        ways.setdefault(row.server, []).append(row.way)
    return ", ".join(
        f"{markdown(name)} ({', '.join(map(markdown, some))})" for name, some in ways.items()
    )


def _word(cells: Mapping[str, Entry]) -> str:
    """Return a column's word at the heavy load; and that at a light one, if it loses, too."""
    heavy, light = cells.get(restart.HEAVY), cells.get("light")
    words = [_said(heavy)] if heavy is not None else []
    if light is not None and light.state is State.MEASURED and grade(light) is not LOSSLESS:
        words.append(f"light: {_said(light)}")
    return "<br>".join(words) or NOT_ASKED


def _said(entry: Entry) -> str:
    if entry.verdict is None:
        return f"{glyph(entry)} {entry.state.value}"
    word, _, count = entry.verdict.partition(":")
    told = f"{count} ms" if word == "down" else count.replace("/", " of ")
    return markdown(f"{glyph(entry)} {word} {told}".rstrip())
