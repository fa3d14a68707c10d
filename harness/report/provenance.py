"""Where a matrix comes from, in words: the run, and how each guest was made.

The words are partly a guest's: who shows them makes them safe.
"""

from collections.abc import Mapping

from harness.matrix import Matrix
from harness.model import State


def headline(matrix: Matrix) -> str:
    """Return what was run, when, and how many cells came to what."""
    run = matrix.run
    tally = dict.fromkeys(State, 0)
    for cell in matrix.cells:
        tally[cell.state] += 1
    counts = ", ".join(f"{count} {state}" for state, count in tally.items() if count)
    return f"run {run.id}, {run.started}, {run.catalogue}: {counts or 'no cells'}"


def system(matrix: Matrix, guest: str) -> str:
    """Return what a guest runs: system and release, as far as they are known."""
    known = matrix.guests[guest]
    return " ".join(str(known[name]) for name in ("system", "release") if known.get(name))


def provenance(matrix: Matrix, guest: str) -> str:
    """Return one line on how a guest was made: what it runs, by what, on what."""
    known = matrix.guests[guest]
    words = [system(matrix, guest)]
    words += [str(known[name]) for name in ("provider", "accelerator") if known.get(name)]
    words += _rest(known.get("provenance"))
    return f"{guest}: {', '.join(words)}"


def _rest(made: object) -> list[str]:
    """Return the rest of the provenance as `name value`, hashes cut to what tells them apart."""
    if not isinstance(made, Mapping):
        return []
    return [
        f"{str(name).replace('_', ' ')} {str(value)[:12] if 'sha256' in str(name) else value}"
        for name, value in sorted(made.items())
    ]
