"""Where a matrix comes from, in words: the run, and how each guest was made.

The texts contain words of guests, so the caller must make them safe to show.
"""

from collections.abc import Mapping

from harness.matrix import Matrix
from harness.model import Depth, State


def headline(matrix: Matrix) -> str:
    """Return the run's id, start and catalogue, and the number of cells by state."""
    run = matrix.run
    tally = dict.fromkeys(State, 0)
    for cell in matrix.cells:
        tally[cell.state] += 1
    counts = ", ".join(f"{count} {state}" for state, count in tally.items() if count)
    head = f"run {run.id}, {run.started}, {catalogue(matrix)}: {counts or 'no cells'}"
    of = len(run.merged)
    return f"{head}; merged from {of} run{'s' if of > 1 else ''}" if of else head


def catalogue(matrix: Matrix) -> str:
    """Return the run's catalogue; for a merge of both, the guests that were asked each of them."""
    asked: dict[str, Depth] = {}
    for one in matrix.run.merged:
        for guest in one.guests.values():
            if asked.get(guest) is not Depth.FULL:
                asked[guest] = one.catalogue
    depths = {depth: [name for name in asked if asked[name] is depth] for depth in Depth}
    if not all(depths.values()):
        return matrix.run.catalogue
    texts = (f"{depth}: {', '.join(sorted(depths[depth]))}" for depth in (Depth.FULL, Depth.QUICK))
    return f"mixed ({'; '.join(texts)})"


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


def origin(matrix: Matrix, guest: str) -> str:
    """Return one short line on a guest: system, release, provider, and in a merge its runs."""
    known = matrix.guests[guest]
    words = [system(matrix, guest)]
    words += [str(known["provider"])] if known.get("provider") else []
    runs = [one.id for one in matrix.run.merged if guest in one.guests.values()]
    words += [f"run{'s' if len(runs) > 1 else ''} {', '.join(runs)}"] if runs else []
    own = matrix.by_guest[guest]
    if own and all(cell.state is State.NOT_RUN for cell in own):
        words.append(f"not run: {own[0].why}")
    return f"{guest}: {', '.join(words)}"
