"""Changes in words: between two runs, or between neighbouring releases in one run."""

from collections.abc import Iterable, Iterator, Sequence

from harness.claims import Witness
from harness.matrix import Entry, Matrix, Value
from harness.matrix.changes import CellChange, Comparison, Kind, Pair
from harness.report.change_lines import ARROW, ChangeGroup, in_words, sayings
from harness.report.provenance import headline
from harness.text import Paint, markdown, short, wrapped

HEADINGS = {
    Kind.CHANGED: "verdict changed",
    Kind.SHARE: "same verdict, different share",
    Kind.UNMEASURED: "measured before, not now",
    Kind.MEASURED: "measured now, not before",
    Kind.OTHERWISE: "not measured either time, different reason",
    Kind.APPEARED: "not asked before",
    Kind.GONE: "not asked now",
}

STYLES = {Kind.CHANGED: "1;33", Kind.SHARE: "33", Kind.UNMEASURED: "33"}
"""SGR parameters (ECMA-48, 8.3.117). The colours only repeat the words."""


def summary(comparison: Comparison) -> str:
    """Return a sentence with the number of cells by kind of change."""
    measured = comparison.measured
    counts = [
        f"{count} {HEADINGS[kind]}"
        for kind in Kind
        if kind is not Kind.CHANGED and (count := comparison.count(kind))
    ]
    changed = comparison.count(Kind.CHANGED)
    verdicts = f"{changed or 'no'} verdict{'s' if changed > 1 else ''} changed"
    cells = f"{measured} cell{'' if measured == 1 else 's'} measured both times"
    head = f"{cells}, {verdicts}" if measured else "no cell was measured both times"
    return "; ".join([head, *counts])


def settings(pair: Pair) -> list[str]:
    """Return a text for each tunable that was read both times and differs."""
    return [f"{one.name} {_value(one.old)}{ARROW}{_value(one.new)}" for one in pair.settings]


def _value(value: Value) -> str:
    return "absent" if value is None else " ".join(str(value).split("\t"))


def heads(matrices: Sequence[Matrix], comparison: Comparison) -> Iterator[str]:
    """Yield the lines above the cells: the runs, their differences, and how many cells changed."""
    if len(matrices) == 1:
        yield headline(matrices[0])
        if not comparison.pairs:
            yield "this run has no two releases of one system to compare"
        return
    old, new = matrices
    yield f"old: {headline(old)}"
    yield f"new: {headline(new)}"
    yield from _notes(old, new, comparison)
    yield summary(comparison)
    yield from in_words(comparison.pairs)


def _notes(old: Matrix, new: Matrix, comparison: Comparison) -> Iterator[str]:
    if old.run.catalogue is not new.run.catalogue:
        catalogues = f"{old.run.catalogue} and {new.run.catalogue}"
        yield f"the catalogues differ ({catalogues}), so some cells were asked in one run only"
    for which, alone in (("old", comparison.gone), ("new", comparison.appeared)):
        if alone:
            names = ", ".join(f"{name} ({count} cells)" for name, count in alone.items())
            yield f"in the {which} run only: {names}"
    for pair in comparison.pairs:
        made = [
            f"{before}{ARROW}{now}"
            for before, now in zip(_made(pair.old), _made(pair.new), strict=True)
            if before != now
        ]
        both = ARROW.join(dict.fromkeys((pair.old.guest, pair.new.guest)))
        if differences := [*made, *settings(pair)]:
            yield f"{both}: {'; '.join(differences)}"
        elif both != pair.new.guest:
            yield both


def _made(witness: Witness) -> tuple[str, str]:
    system = f"{witness.system or 'unknown'} {witness.release or 'of unknown release'}"
    return system, f"by {witness.provider or 'no provider'}"


def between(pair: Pair) -> str:
    """Return a sentence with the two guests and how many of their cells changed."""
    counted = summary(Comparison((pair,), {}, {}))
    return f"between {pair.old.name} and {pair.new.name}: {counted}"


def terminal(
    matrices: Sequence[Matrix], comparison: Comparison, width: int, paint: Paint
) -> Iterator[str]:
    """Yield lines of at most `width` columns that compare two runs, or the releases of one."""
    for text in heads(matrices, comparison):
        yield from wrapped(short(text), width, "    ")
    if len(matrices) == 1:
        yield from releases_terminal(comparison, width, paint)
        return
    yield ""
    yield from _blocks(sayings(comparison.pairs), width, paint)


def releases_terminal(
    comparison: Comparison, width: int, paint: Paint, *, news: bool = False
) -> Iterator[str]:
    """Yield lines of at most `width` columns about neighbouring releases, if there are any.

    With `news`, only tunables and the verdicts that changed.
    """
    for pair in comparison.pairs:
        said = [one for one in sayings([pair]) if not news or one.kind is Kind.CHANGED]
        yield ""
        yield from wrapped(short(between(pair)), width, "    ")
        for setting in settings(pair):
            yield from _indented(setting, width)
        yield from _blocks(said, width, paint)


def _blocks(said: Iterable[ChangeGroup], width: int, paint: Paint) -> Iterator[str]:
    kind = None
    for one in said:
        if one.kind is not kind:
            kind = one.kind
            yield paint(HEADINGS[kind], STYLES.get(kind, "2"))
        yield from _indented(f"{one.scenario}  {one.text}", width)


def _indented(text: str, width: int) -> list[str]:
    return [f"  {line}" for line in wrapped(short(text), width - 2, "    ")]


def page(matrices: Sequence[Matrix], comparison: Comparison) -> Iterator[str]:
    """Yield Markdown that compares two runs, or the releases of one."""
    yield from (f"- {markdown(text)}" for text in heads(matrices, comparison))
    if len(matrices) == 1:
        yield from releases_page(comparison)
    else:
        yield from _table(sayings(comparison.pairs))


def releases_page(comparison: Comparison) -> Iterator[str]:
    """Yield Markdown about neighbouring releases, if there are any."""
    for pair in comparison.pairs:
        yield ""
        tunables = "".join(f"; {setting}" for setting in settings(pair))
        yield f"{markdown(between(pair) + tunables)}."
        yield from _table(sayings([pair]))


def _table(said: Sequence[ChangeGroup]) -> Iterator[str]:
    if not said:
        return
    yield ""
    yield "| what | scenario | change | where | cells |"
    yield "|---|---|---|---|---|"
    for one in said:
        texts = map(markdown, (one.scenario, one.change, one.where))
        yield f"| {' | '.join([HEADINGS[one.kind], *texts, str(one.cells)])} |"


def data(matrices: Sequence[Matrix], comparison: Comparison) -> dict[str, object]:
    """Return the comparison as data for `--format json`."""
    return {
        "runs": [matrix.run for matrix in matrices],
        "counts": {kind: comparison.count(kind) for kind in Kind},
        "gone": comparison.gone,
        "appeared": comparison.appeared,
        "pairs": [
            {
                "old": _guest(pair.old),
                "new": _guest(pair.new),
                "measured": pair.measured,
                "settings": pair.settings,
                "changes": [_cell(change) for change in pair.changes],
            }
            for pair in comparison.pairs
        ],
    }


def _guest(witness: Witness) -> dict[str, object]:
    names = ("run", "guest", "system", "release", "provider")
    return {name: getattr(witness, name) for name in names}


def _cell(change: CellChange) -> dict[str, object]:
    return {
        "kind": change.kind,
        "scenario": change.entry.scenario,
        "axes": change.entry.axes,
        "old": _side(change.old),
        "new": _side(change.new),
        "p": change.p,
    }


def _side(entry: Entry | None) -> dict[str, object] | None:
    if entry is None:
        return None
    return {
        "state": entry.state,
        "verdict": entry.verdict,
        "why": entry.why,
        "counts": entry.counts,
    }
