"""What the restart of servers loses, as Markdown: a row for each way, a column for each kernel."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from harness.matrix import Entry, Matrix
from harness.model import TUNABLES, State
from harness.report.grades import glyph, grade
from harness.report.grid import NOT_ASKED
from harness.report.provenance import system
from harness.scenarios import restart
from harness.scenarios.sense import LOSSLESS
from harness.text import markdown

HEAVY = "heavy"
"""The load of which the table tells; where a light one loses something as well, it says so."""

AS_FOUND = "as found"


class ServerRow(Struct, frozen=True):
    """A way to restart a server, and its cells: by guest and setting, at both loads."""

    server: str
    way: str
    cells: Mapping[tuple[str, str], Mapping[str, Entry]]

    @property
    def lossless(self) -> bool:
        """Whether it was measured somewhere, and nothing was lost or delayed wherever it was."""
        some = [one for at in self.cells.values() for one in at.values()]
        told = [grade(one) for one in some if one.state is State.MEASURED]
        return bool(told) and all(one is LOSSLESS for one in told)


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

    With `brief`, ways that lose nothing anywhere are named in a sentence, without a row.
    """
    found = rows(matrix)
    if not found:
        return
    columns = tuple(dict.fromkeys(at for row in found for at in row.cells))
    heads = [f"{markdown(system(matrix, guest))}<br>{_setting(said)}" for guest, said in columns]
    yield f"| server | restarts by | {' | '.join(heads)} |"
    yield f"|---|---|{'---|' * len(columns)}"
    shown = [row for row in found if not (brief and (row.lossless or _unmeasured(row)))]
    for row in shown:
        words = [_word(row.cells.get(column, {})) for column in columns]
        yield f"| {markdown(row.server)} | {markdown(row.way)} | {' | '.join(words)} |"
    if brief and (safe := [row for row in found if row.lossless]):
        yield ""
        yield f"Nothing was lost or late by: {_named(safe)}."


def _setting(said: str) -> str:
    return markdown(said.rpartition(".")[2]) if said else AS_FOUND


def _unmeasured(row: ServerRow) -> bool:
    every = [one for at in row.cells.values() for one in at.values()]
    return all(one.state is not State.MEASURED for one in every)


def _named(found: Iterable[ServerRow]) -> str:
    """Return the ways by server: `nginx` (reload, upgrade)."""
    ways: dict[str, list[str]] = {}
    for row in found:
        ways.setdefault(row.server, []).append(row.way)
    return ", ".join(
        f"{markdown(name)} ({', '.join(map(markdown, some))})" for name, some in ways.items()
    )


def _word(cells: Mapping[str, Entry]) -> str:
    """Return a column's word at the heavy load; and that at the light one, if that loses, too."""
    heavy, light = cells.get(HEAVY), cells.get("light")
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
