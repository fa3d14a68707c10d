"""Measures the CPU seconds of each report against a limit; exits with 1 if one exceeds it.

    python benchmarks/reports.py [DIR|FILE]

The input is the run that you name, or else an invented one of the whole catalogue. From it the
script makes two runs of 10 000 cells, and a hundred of its own size. It reads them from files, as
the command line does. The time covers reading and rendering, not the start of Python.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from harness.cli.history import nights
from harness.matrix import Entry, Matrix, Run, encode
from harness.matrix.changes import compare
from harness.matrix.history import history
from harness.matrix.merge import merge
from harness.model import Depth, Judgement, State, Trial
from harness.report import changes
from harness.report import history as histories
from harness.report.formats import FORMATS
from harness.report.report import Report
from harness.scenarios import cells
from harness.store.runs import load_matrix
from harness.text import Paint

RUNS = 100

CELLS = 10_000

WIDTH = 100


class Case(Struct, frozen=True):
    """One measurement; `work` returns the number of characters or cells of its output."""

    name: str
    ceiling: float
    work: Callable[[], int]


def catalogue() -> Matrix:
    """Return a run in which every cell was measured, with different verdicts."""
    judgements = [
        Judgement(State.MEASURED, word, counts={f"member_{n}": 100 + n for n in range(8)})
        for word in ("balanced", "newest", "reset:3/100")
    ]
    trials = [
        Trial("linux", cell, (judgement,), "2026-01-01T00:00:00+00:00", 0.1)
        for cell, judgement in zip(cells(Depth.FULL), cycle(judgements))
    ]
    facts = {"linux": {"system": "Linux", "release": "6.1", "provider": "qemu"}}
    return Matrix.of(Run("r", "2026-01-01", Depth.FULL), facts, trials)


def wide(one: Matrix) -> Matrix:
    """Return a run of 10 000 cells: copies of the same guests under different names."""
    copies = -(-CELLS // max(len(one.cells), 1))
    guests = {f"{name}-{n}": facts for n in range(copies) for name, facts in one.guests.items()}
    entries = (
        replace(cell, guest=f"{cell.guest}-{n}") for n in range(copies) for cell in one.cells
    )
    kept = tuple(islice(entries, CELLS))
    return replace(one, guests=guests, cells=kept)


def another(one: Matrix, every: int) -> Matrix:
    """Return a run in which one of `every` cells, if measured, has another verdict."""
    return replace(one, cells=tuple(_turned(one.cells, every)))


def _turned(entries: Iterable[Entry], every: int) -> Iterator[Entry]:
    for number, entry in enumerate(entries):
        turned = number % every == 0 and entry.verdict is not None
        yield replace(entry, verdict="oldest", repeats=()) if turned else entry


def dated(one: Matrix, number: int) -> Matrix:
    """Return the run of another day; in every seventh some verdicts differ."""
    run = Run(f"r{number:03}", f"2026-{number // 28 + 1:02}-{number % 28 + 1:02}", Depth.FULL)
    found = replace(one, run=run)
    return another(found, 50) if number % 7 == 6 else found


def cases(folder: Path, one: Matrix) -> Iterator[Case]:
    """Write the input files, and yield the cases."""
    old, new = folder / "old.json", folder / "new.json"
    whole = wide(one)
    old.write_bytes(encode(whole))
    new.write_bytes(encode(replace(another(whole, 20), run=replace(whole.run, id="new"))))
    kept = folder / "runs"
    for number in range(RUNS):
        run = kept / f"n{number:03}"
        run.mkdir(parents=True)
        (run / "matrix.json").write_bytes(encode(dated(one, number)))
    for name, render in FORMATS.items():
        yield Case(f"report {name}", 1, partial(rendered, render, old))
    yield Case("diff", 2, lambda: told(old, new))
    yield Case("merge", 2, lambda: len(encode(merge(map(load_matrix, kept.iterdir())).matrix)))
    yield Case("history", 2, lambda: shown(kept, None))
    yield Case("history --db, new", 2, lambda: shown(kept, folder / "kept.sqlite"))


def rendered(render: Callable[[Report], str], file: Path) -> int:
    """Read a run and render it; return the length."""
    return len(render(Report(load_matrix(file))))


def told(old: Path, new: Path) -> int:
    """Compare two runs and render the changes; return the length."""
    both = [load_matrix(path) for path in (old, new)]
    return sum(map(len, changes.terminal(both, compare(*both), WIDTH, Paint(on=False))))


def shown(kept: Path, db: Path | None) -> int:
    """Read all runs and render their history; return the length."""
    found = history(nights([kept], db, RUNS), RUNS)
    return sum(map(len, histories.terminal(found, WIDTH, Paint(on=False))))


def main() -> int:
    """Print a line for each case; return 1 if one exceeds its limit."""
    one = load_matrix(Path(sys.argv[1])) if len(sys.argv) > 1 else catalogue()
    print(f"report, diff: {CELLS} cells; merge, history: {RUNS} runs of {len(one.cells)} cells")
    print(f"{'':20}{'CPU s':>8}{'may be':>8}{'ratio':>8}{'output':>12}")
    late = False
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(Path(folder), one):
            began = time.process_time()
            size = case.work()
            took = time.process_time() - began
            late |= took > case.ceiling
            ratio = took / case.ceiling
            print(f"{case.name:20}{took:8.2f}{case.ceiling:8.0f}{ratio:8.2f}{size:12}")
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
