"""How cells did over many runs, in words: flaky cells first, then changed and stale ones."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from harness.matrix.history import History, Stability, Track
from harness.model import State
from harness.report.fold import folded, label
from harness.scenarios import CATALOGUE
from harness.text import Paint, markdown, short, wrapped

HEADINGS = {
    Stability.FLAKY: "flaky: the word changed back and forth on one kernel release",
    Stability.CHANGED: "changed in the newest run",
    Stability.STALE: "stale: not measured in the newest run; the last word is shown with its age",
    Stability.NEW: "asked for the first time",
    Stability.STEADY: "steady",
    Stability.NEVER: "never measured",
}

NEWS = (Stability.FLAKY, Stability.CHANGED, Stability.STALE)
"""What a reader has to know of. The other cells are only counted."""

STYLES = {Stability.FLAKY: "1;33", Stability.CHANGED: "1;33", Stability.STALE: "33"}
"""SGR parameters (ECMA-48, 8.3.117). The colours only repeat the words."""


class _TrackGroup(Struct, frozen=True):
    """Cells of one guest and scenario with the same history: where, what happened, how many."""

    standing: Stability
    guest: str
    scenario: str
    where: str
    went: str
    cells: int


def _summary(history: History) -> str:
    """Return a sentence with the runs and the number of cells by stability."""
    if not history.runs:
        return "no run was given"
    (first, since), (last, until) = history.runs[0], history.runs[-1]
    runs = len(history.runs)
    between = f"{first}, {since}" if runs == 1 else f"{since} to {until}, the newest {last}"
    counts = [f"{count} {one}" for one in Stability if (count := len(history.of(one)))]
    return f"{runs} run{'s' if runs > 1 else ''} ({between}): {', '.join(counts) or 'no cells'}"


def _sayings(history: History) -> Iterator[_TrackGroup]:
    """Yield groups of cells with the same history, folded."""
    order = {name: place for place, name in enumerate(CATALOGUE)}
    groups: dict[tuple[Stability, str, str], list[Track]] = {}
    for track in history.tracks:
        groups.setdefault((track.standing, track.guest, track.cell.scenario), []).append(track)
    ranks = list(Stability)
    for (standing, guest, scenario), tracks in sorted(
        groups.items(),
        key=lambda group: (
            *(ranks.index(group[0][0]), group[0][1]),
            *(order.get(group[0][2], len(order)), group[0][2]),
        ),
    ):
        for fold in folded((track.cell.points, _went(track)) for track in tracks):
            went = _went(tracks[fold.first])
            yield _TrackGroup(
                standing, guest, scenario, label(fold.values), went, len(fold.members)
            )


def _went(track: Track) -> str:
    now = track.state or "not asked"
    if track.word is None:
        return now
    said = f"{track.word} {track.k} of {track.n}"
    if track.standing is Stability.FLAKY:
        said = f"{said}, changed {track.changes} times"
    if track.standing is Stability.CHANGED:
        said = f"{track.before} \N{RIGHTWARDS ARROW} {said}"
    if track.runs_ago:
        days = "" if track.days_ago is None else f", {_count(track.days_ago, 'day')}"
        said = f"{said}, {_count(track.runs_ago, 'run')}{days} ago, now {now}"
    return said


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _text(one: _TrackGroup) -> str:
    cells = f" ({one.cells} cells)" if one.cells > 1 else ""
    return f"{one.guest}  {one.scenario}  {one.went}: {one.where}{cells}"


def terminal(history: History, width: int, paint: Paint, *, whole: bool = False) -> Iterator[str]:
    """Yield lines of at most `width` columns; unless `whole`, cells without news are counted."""
    yield from wrapped(short(_summary(history)), width)
    standing = None
    for one in _sayings(history):
        if one.standing not in NEWS and not whole:
            continue
        if one.standing is not standing:
            standing = one.standing
            yield ""
            yield paint(HEADINGS[standing], STYLES.get(standing, "2"))
        yield from (f"  {line}" for line in wrapped(short(_text(one)), width - 2, "    "))
    counted = [f"{count} {one}" for one in Stability if (count := len(history.of(one)))]
    counted = [one for one in counted if one.partition(" ")[2] not in NEWS]
    if counted and not whole:
        yield ""
        yield from wrapped(f"not listed: {', '.join(counted)}; --full lists them", width)


def page(history: History, *, steady: bool = True) -> Iterator[str]:
    """Yield Markdown.

    Without `steady` it leaves out the cells that need no attention: the steady ones, and those that
    were never applicable.
    """
    yield f"{markdown(_summary(history))}."
    dull = {(Stability.NEVER, State.NOT_APPLICABLE.value)}
    yield from _table(
        [
            one
            for one in _sayings(history)
            if steady
            or (one.standing is not Stability.STEADY and (one.standing, one.went) not in dull)
        ]
    )


def _table(shown: Sequence[_TrackGroup]) -> Iterator[str]:
    if not shown:
        return
    yield ""
    yield "| what | guest | scenario | over the runs | where | cells |"
    yield "|---|---|---|---|---|---|"
    for one in shown:
        texts = map(markdown, (one.guest, one.scenario, one.went, one.where))
        yield f"| {' | '.join([one.standing, *texts, str(one.cells)])} |"


def data(history: History) -> dict[str, object]:
    """Return the history as data for `--format json`."""
    return {
        "runs": [{"id": name, "started": started} for name, started in history.runs],
        "counts": {one: len(history.of(one)) for one in Stability},
        "cells": [
            {
                "guest": track.guest,
                "scenario": track.cell.scenario,
                "axes": dict(track.cell.points),
                "standing": track.standing,
                "word": track.word,
                "before": track.before,
                "k": track.k,
                "n": track.n,
                "changes": track.changes,
                "runs_ago": track.runs_ago,
                "days_ago": track.days_ago,
                "state": track.state,
            }
            for track in history.tracks
        ],
    }
