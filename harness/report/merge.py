"""The result of a merge of runs, in words: renamed guests and conflicts."""

from collections.abc import Iterator

from harness.matrix.merge import Conflict, Merged
from harness.report.fold import folded, label
from harness.text import short, wrapped


def terminal(merged: Merged, width: int) -> Iterator[str]:
    """Yield lines of at most `width` columns."""
    for old, new, run in merged.renamed:
        yield from _wrapped(f"{short(old)} of run {short(run)} is {short(new)}", width)
    for sentence in sentences(merged):
        yield from _wrapped(f"conflict: {short(sentence)}", width)
    whole = merged.matrix
    counts = f"guests: {len(whole.guests)}, cells: {len(whole.cells)}"
    yield f"{counts}, of them inconclusive by conflicts: {len(merged.conflicts)}"


def sentences(merged: Merged) -> Iterator[str]:
    """Yield a sentence for each contradiction between runs; equal ones are folded.

    The sentences contain text of guests, so the caller must make them safe to show.
    """
    groups: dict[tuple[str, str], list[Conflict]] = {}
    for conflict in merged.conflicts:
        groups.setdefault((conflict.guest, conflict.cell.scenario), []).append(conflict)
    for (guest, scenario), conflicts in groups.items():
        for fold in folded((one.cell.points, one.words) for one in conflicts):
            words = " and ".join(conflicts[fold.first].words)
            cells = f" ({len(fold.members)} cells)" if len(fold.members) > 1 else ""
            yield f"{guest}  {scenario}  {words}, so inconclusive: {label(fold.values)}{cells}"


def _wrapped(text: str, width: int) -> list[str]:
    return wrapped(text, width, "    ")


def data(merged: Merged) -> dict[str, object]:
    """Return the result as data for `--format json`."""
    return {
        "run": merged.matrix.run,
        "renamed": [{"guest": old, "name": new, "run": run} for old, new, run in merged.renamed],
        "conflicts": [
            {
                "guest": one.guest,
                "scenario": one.cell.scenario,
                "axes": dict(one.cell.points),
                "words": one.words,
            }
            for one in merged.conflicts
        ],
    }
