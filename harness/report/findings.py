"""The findings about claims: as text for a terminal, as Markdown, and as data."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from harness.claims import CLAIMS, Decided, Finding, PartFinding, Standing, settle
from harness.matrix import Matrix
from harness.report.claim_links import links
from harness.report.finding_words import causes, evidence, plain
from harness.report.finding_words import heading as heading
from harness.text import Paint, markdown, short, wrapped

STYLES = {
    Standing.CONFIRMED: "32",
    Standing.REFUTED: "31",
    Standing.MIXED: "33",
    Standing.NOT_TESTED: "2",
}
"""SGR parameters (ECMA-48, 8.3.117). The colours only repeat the words."""

ORDER = (Standing.REFUTED, Standing.MIXED, Standing.CONFIRMED, Standing.NOT_TESTED)
"""A reader relies on claims, so those that do not hold come first."""

NEWS = (Standing.REFUTED, Standing.MIXED)
"""What a summary names; the other claims are counted."""

PLAIN = ({Standing.CONFIRMED}, {Standing.REFUTED})
"""If all parts of a claim have one of these standings, the report needs no line for each part."""

MARGIN = 4
"""Columns by which the lines below a claim are indented."""


class FindingLine(Struct, frozen=True):
    """A line below a claim. `standing` is set if the line is about one part of the claim."""

    standing: Standing | None
    text: str


def findings(matrix: Matrix) -> tuple[Finding, ...]:
    """Return the finding of every claim, decided by one matrix, in a reader's order."""
    return ordered(settle(CLAIMS, [matrix]))


def ordered(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return what was refuted first, then what depends, what holds so far, and the rest."""
    return tuple(sorted(found, key=lambda one: (ORDER.index(one.standing), not one.tested)))


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


def sayings(one: Finding, *, whole: bool) -> Iterator[FindingLine]:
    """Yield the lines below a claim: its evidence, then the untested parts.

    If `whole`, every part has a line, and the untested ones give their reason.
    """
    agreed = {part.standing for part in one.parts} in PLAIN
    if agreed and not whole:
        yield FindingLine(None, evidence(one.cells, one.tested))
        return
    yield from (FindingLine(part.standing, _tested(part)) for part in one.tested)
    untested = [part for part in one.parts if part.standing is Standing.NOT_TESTED]
    if whole:
        yield from (FindingLine(part.standing, f"{_asks(part)}: {part.why}") for part in untested)
    elif untested:
        names = dict.fromkeys(part.part.subject.label for part in untested)
        yield FindingLine(Standing.NOT_TESTED, ", ".join(names))


def _asks(part: PartFinding) -> str:
    return f"{part.part.subject.label}: {plain(part.part.says)}"


def _tested(part: PartFinding) -> str:
    by = causes(part)
    return f"{_asks(part)}{f' ({by})' if by else ''}: {evidence(part.cells, [part])}"


def terminal(
    found: Sequence[Finding], width: int, paint: Paint, *, whole: bool = False, news: bool = False
) -> Iterator[str]:
    """Yield lines of at most `width` columns: all claims if `whole`, else only the tested ones.

    With `news`, only claims that are refuted or depend on something, without their cells.
    """
    more = "" if whole else "; `reuseport-matrix claims` shows why"
    yield from wrapped(f"{summary(found)}{more}", width)
    for one in found if whole else _touched(found):
        if news and one.standing not in NEWS:
            continue
        if not news:
            yield ""
        yield from _headed(one, width, paint)
        if whole:
            yield from _indented(f"source: {plain(one.claim.source)}", width)
            yield from (f"{' ' * MARGIN}{address}" for _, address in links(one.claim.source))
        for line in sayings(one, whole=whole) if not news else ():
            yield from _said(line, width, paint)
    if whole:
        yield ""
        yield from wrapped("`report DIR --scenario ID` shows the cells of a scenario", width)


def _headed(one: Finding, width: int, paint: Paint) -> Iterator[str]:
    """Yield the claim and its standing, which is coloured, and on what it depends."""
    label, _, depends = heading(one).partition(": ")
    text = short(f"{one.claim.id}  {label}  {plain(one.claim.sentence)}")
    first, *rest = wrapped(text, width, "    ")
    yield first.replace(label, paint(label, STYLES[one.standing]), 1)
    yield from rest
    if depends:
        yield from _indented(depends, width)


def _said(line: FindingLine, width: int, paint: Paint) -> Iterator[str]:
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
        sentence = f"**{one.claim.id}** {markdown(plain(one.claim.sentence))}{_links(one)}"
        yield f"| {sentence} | {markdown(heading(one))} | {'<br>'.join(lines)} |"


def _links(one: Finding) -> str:
    found = [f"[{markdown(plain(text))}]({url})" for text, url in links(one.claim.source)]
    return f"<br>source: {', '.join(found)}" if found else ""


def data(found: Iterable[Finding]) -> list[dict[str, object]]:
    """Return the findings as data for `--format json`."""
    return [
        {
            "id": one.claim.id,
            "state": one.standing,
            "sentence": one.claim.sentence,
            "source": one.claim.source,
            "links": [url for _, url in links(one.claim.source)],
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
