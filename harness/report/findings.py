"""The findings about claims: as text for a terminal, as Markdown, and as data."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from harness.claims import CLAIMS, Decided, Finding, PartFinding, Standing, settle
from harness.claims.separate import Separator
from harness.claims.spans import Span
from harness.matrix import Matrix
from harness.text import Paint, markdown, short, wrapped

STYLES = {
    Standing.CONFIRMED: "32",
    Standing.REFUTED: "31",
    Standing.MIXED: "33",
    Standing.NOT_TESTED: "2",
}
"""SGR parameters (ECMA-48, 8.3.117). The colours only repeat the words."""

PLAIN = ({Standing.CONFIRMED}, {Standing.REFUTED})
"""If all parts of a claim have one of these standings, the report needs no line for each part."""

FEW = 4
"""This many guests, or values of an axis, are named; the others are only counted."""

MARGIN = 4
"""Columns by which the lines below a claim are indented."""


class FindingLine(Struct, frozen=True):
    """A line below a claim. `standing` is set if the line is about one part of the claim."""

    standing: Standing | None
    text: str


def findings(matrix: Matrix) -> tuple[Finding, ...]:
    """Return the finding of every claim, decided by one matrix."""
    return settle(CLAIMS, [matrix])


def _touched(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings with at least one tested part."""
    return tuple(one for one in found if one.tested)


def summary(found: Sequence[Finding]) -> str:
    """Return a sentence with the number of claims by standing."""
    tally = Counter(one.standing for one in found)
    partly = sum(bool(one.tested) for one in found if one.standing is Standing.NOT_TESTED)
    counts = [f"{tally[one]} {one}" for one in Standing if one is not Standing.NOT_TESTED]
    untested = tally[Standing.NOT_TESTED]
    counts.append(f"{untested} {Standing.NOT_TESTED} ({partly} of them in part)")
    return f"{len(found)} claims: {', '.join(counts)}"


def heading(one: Finding) -> str:
    """Return the standing, and what separates the cells if it is mixed."""
    return f"{one.standing}{_by(one.by, values=False)}"


def sayings(one: Finding, *, whole: bool) -> Iterator[FindingLine]:
    """Yield the lines below a claim: its evidence, then the untested parts.

    If `whole`, every part has a line, and the untested ones give their reason.
    """
    agreed = {part.standing for part in one.parts} in PLAIN
    if agreed and not whole:
        yield FindingLine(None, _evidence(one.cells, _history(one.tested)))
        return
    yield from (FindingLine(part.standing, _tested(part)) for part in one.tested)
    untested = [part for part in one.parts if part.standing is Standing.NOT_TESTED]
    if whole:
        yield from (FindingLine(part.standing, f"{_asks(part)}: {part.why}") for part in untested)
    elif untested:
        names = dict.fromkeys(part.part.subject.label for part in untested)
        yield FindingLine(Standing.NOT_TESTED, ", ".join(names))


def _asks(part: PartFinding) -> str:
    return f"{part.part.subject.label}: {part.part.says}"


def _tested(part: PartFinding) -> str:
    by = _by(part.by, values=True).removeprefix(" ")
    return f"{_asks(part)}{f' ({by})' if by else ''}: {_evidence(part.cells, _history([part]))}"


def _by(found: Sequence[Separator], *, values: bool) -> str:
    """Return what separates the cells of a mixed finding.

    If several separators fit, the cause is in doubt, so all of them are named.
    """
    if not found:
        return ""
    text = " by " + " or ".join(" and ".join(one.names) for one in found[:FEW])
    if not values or len(found) > 1:
        return text
    return f"{text}: holds at {_some(found[0].agree)}, not at {_some(found[0].contradict)}"


def _some(values: Iterable[str]) -> str:
    named = list(dict.fromkeys(values))
    rest = f" and {len(named) - FEW} more" if len(named) > FEW else ""
    return ", ".join(named[:FEW]) + rest


def _evidence(cells: Sequence[Decided], history: str) -> str:
    """Return how many cells decided, of which scenarios, on which guests."""
    scenarios = ", ".join(dict.fromkeys(cell.entry.scenario for cell in cells))
    guests = _some(cell.witness.name for cell in cells)
    count = len({(cell.witness.run, cell.entry.guest, cell.entry.cell.key) for cell in cells})
    return f"{count} cell{'s' if count > 1 else ''} of {scenarios} on {guests}{history}"


def _history(parts: Iterable[PartFinding]) -> str:
    """Return the releases of each standing, for systems where it changed between releases."""
    found = dict.fromkeys(span for part in parts for span in part.spans)
    changed = {span.system for span in found if span.after is not None}
    texts = [_span(span) for span in found if span.system in changed]
    return f"; {', '.join(texts)}" if texts else ""


def _span(span: Span) -> str:
    releases = span.since if span.since == span.until else f"{span.since} to {span.until}"
    gap = f" (between {span.after} and {span.since}: unknown)" if span.after is not None else ""
    return f"{span.system} {releases} {span.standing}{gap}"


def terminal(
    found: Sequence[Finding], width: int, paint: Paint, *, whole: bool = False
) -> Iterator[str]:
    """Yield lines of at most `width` columns: all claims if `whole`, else only the tested ones."""
    more = "" if whole else "; `reuseport-matrix claims` shows why"
    yield from wrapped(f"{summary(found)}{more}", width)
    for one in found if whole else _touched(found):
        head = heading(one)
        yield ""
        lines = wrapped(short(f"{one.claim.id}  {head}  {one.claim.sentence}"), width, "    ")
        yield lines[0].replace(head, paint(head, STYLES[one.standing]), 1)
        yield from lines[1:]
        if whole:
            yield from _indented(f"source: {one.claim.source}", width)
        for line in sayings(one, whole=whole):
            label = f"{line.standing}  " if line.standing is not None else ""
            first, *rest = _indented(f"{label}{line.text}", width)
            style = STYLES[line.standing] if line.standing is not None else None
            yield first.replace(label, paint(label, style), 1) if label else first
            yield from rest


def _indented(text: str, width: int) -> list[str]:
    indent = " " * MARGIN
    return [indent + line for line in wrapped(short(text), width - MARGIN, indent)]


def page(found: Sequence[Finding]) -> Iterator[str]:
    """Yield a Markdown table of the claims that were at least partly tested."""
    yield f"{markdown(summary(found))}."
    shown = _touched(found)
    if not shown:
        return
    yield ""
    yield "| claim | standing | evidence |"
    yield "|---|---|---|"
    for one in shown:
        lines = [
            f"{line.standing or ''} {markdown(line.text)}".strip()
            for line in sayings(one, whole=False)
        ]
        sentence = f"**{one.claim.id}** {markdown(one.claim.sentence)}"
        yield f"| {sentence} | {markdown(heading(one))} | {'<br>'.join(lines)} |"


def data(found: Iterable[Finding]) -> list[dict[str, object]]:
    """Return the findings as data for `--format json`."""
    return [
        {
            "id": one.claim.id,
            "state": one.standing,
            "sentence": one.claim.sentence,
            "source": one.claim.source,
            "why": one.why,
            "by": one.by,
            "cells": [_cell(part, cell) for part in one.tested for cell in part.cells],
            "parts": [_part(part) for part in one.parts],
        }
        for one in found
    ]


def _part(part: PartFinding) -> dict[str, object]:
    return {
        "says": part.part.says,
        "subject": part.part.subject.label,
        "scenario": part.part.scenario,
        "axes": part.part.axes,
        "state": part.standing,
        "why": part.why,
        "by": part.by,
        "spans": part.spans,
        "decided": len(part.cells),
        "undecided": part.undecided,
    }


def _cell(part: PartFinding, cell: Decided) -> dict[str, object]:
    return {
        "says": part.part.says,
        "agrees": cell.agrees,
        "run": cell.witness.run,
        "guest": cell.witness.guest,
        "system": cell.witness.system,
        "release": cell.witness.release,
        "scenario": cell.entry.scenario,
        "axes": cell.entry.axes,
        "verdict": cell.entry.verdict,
    }
