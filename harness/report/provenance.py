"""Where a matrix comes from, in words: the run, and how each guest was made.

The texts contain words of guests, so the caller must make them safe to show.
"""

from collections.abc import Mapping

from harness.matrix import Matrix
from harness.model import State


def headline(matrix: Matrix) -> str:
    """Return the run's id, start and catalogue, and the number of cells by state."""
    run = matrix.run
    tally = dict.fromkeys(State, 0)
    for cell in matrix.cells:
        tally[cell.state] += 1
    counts = ", ".join(f"{count} {state}" for state, count in tally.items() if count)
    return f"run {run.id}, {run.started}, {run.catalogue}: {counts or 'no cells'}"


def system(matrix: Matrix, guest: str) -> str:
    """Return a guest's system and release, as far as they are known."""
    known = matrix.guests[guest]
    return " ".join(str(known[name]) for name in ("system", "release") if known.get(name))


def provenance(matrix: Matrix, guest: str) -> str:
    """Return one line on how a guest was made: system, provider, accelerator, and the rest."""
    known = matrix.guests[guest]
    words = [system(matrix, guest)]
    words += [str(known[name]) for name in ("provider", "accelerator") if known.get(name)]
    words += _rest(known.get("provenance"))
    return f"{guest}: {', '.join(words)}"


def _rest(made: object) -> list[str]:
    """Return the rest of the provenance as `name value`, with hashes cut to 12 characters."""
    if not isinstance(made, Mapping):
        return []
    return [
        f"{str(name).replace('_', ' ')} {str(value)[:12] if 'sha256' in str(name) else value}"
        for name, value in sorted(made.items())
    ]
