"""From matrices to findings: what kernels were seen to do decides a claim, or it is not tested."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from msgspec.structs import replace

from harness.claims.claim import EACH, Claim, Control, Part, Standing
from harness.claims.finding import Decided, Finding, PartFinding
from harness.claims.predicates import absent
from harness.claims.separate import Point, Separator, separators
from harness.claims.spans import spans, standing
from harness.matrix import Matrix
from harness.matrix.evidence import Evidence, Record, Witness, numbers
from harness.model import Cell, Depth, State
from harness.scenarios import CATALOGUE

ANSWERED = (State.MEASURED, State.INCONCLUSIVE, State.NOT_APPLICABLE)
"""States of a cell whose guest was up and answered."""

SILENT = "measured, but without a word on this"

WITHOUT = "without the option"


def settle(claims: Iterable[Claim], matrices: Iterable[Matrix]) -> tuple[Finding, ...]:
    """Return the finding of each claim from all matrices together; there may be none."""
    everything = Record.of(matrices)
    record = replace(everything, witnesses=_answering(everything))
    return tuple(_settled(claim, record) for claim in claims)


def _settled(claim: Claim, record: Record) -> Finding:
    parts = tuple(_part(part, record) for part in claim.parts)
    found = _overall([part.standing for part in parts])
    why = _whys(parts) if found is Standing.NOT_TESTED else None
    by = _differences(parts) if found is Standing.MIXED else ()
    return Finding(claim, found, why, by, parts)


def _overall(parts: Sequence[Standing]) -> Standing:
    """Return the standing of a claim from those of its parts.

    It is confirmed if all parts are; a part that was not tested keeps it open. It is refuted if all
    tested parts are refuted, and mixed if they differ.
    """
    tested = {part for part in parts if part is not Standing.NOT_TESTED}
    if not tested or (tested == {Standing.CONFIRMED} and len(set(parts)) > 1):
        return Standing.NOT_TESTED
    return tested.pop() if len(tested) == 1 else Standing.MIXED


def _whys(parts: Sequence[PartFinding]) -> str:
    """Return why the claim is open: the reasons of its untested parts."""
    whys = [f"{one.part.subject.label}: {one.why}" for one in parts if one.why is not None]
    return "; ".join(dict.fromkeys(whys))


def _differences(parts: Sequence[PartFinding]) -> tuple[Separator, ...]:
    """Return what separates a claim's parts: the systems if possible, else the questions."""
    mixed = [one for part in parts for one in part.by]
    if any(part.standing is Standing.MIXED for part in parts):
        return tuple(dict.fromkeys(mixed))
    points: list[Point] = [
        (
            {"system": part.part.subject.label, "question": part.part.says},
            part.standing is Standing.CONFIRMED,
        )
        for part in parts
        if part.standing is not Standing.NOT_TESTED
    ]
    return separators(points)[:1]


def _part(part: Part, record: Record) -> PartFinding:
    asked = [
        evidence
        for evidence in record.evidence.get(part.scenario, ())
        if part.subject.includes(evidence.witness) and part.asks(evidence.entry.axes)
    ]
    shown = _shown(part.control, record.evidence.get(part.scenario, ()))
    every = [(one, _agrees(part, one, shown)) for one in asked]
    # Only releases that the part is about decide it; the spans show the others as well.
    due = [(one, agrees) for one, agrees in every if _reached(part, one.witness)]
    cells = tuple(
        Decided(one.witness, one.entry, agrees) for one, agrees in due if agrees is not None
    )
    missing = _missing(part, cells)
    found = standing(cell.agrees for cell in cells) if cells else Standing.NOT_TESTED
    # One cell can refute a part, but confirming it takes every value of `across`.
    if found is Standing.CONFIRMED and missing:
        found = Standing.NOT_TESTED
    undecided = Counter(_state(part, one) for one, agrees in due if agrees is None)
    why = _why(part, record, undecided, missing) if found is Standing.NOT_TESTED else None
    by = separators([_point(cell) for cell in cells]) if found is Standing.MIXED else ()
    measured = [(one.witness, agrees) for one, agrees in every if agrees is not None]
    return PartFinding(part, found, why, by, spans(measured), cells, undecided)


Place = tuple[str, str, frozenset[tuple[str, str]]]
"""A run, a guest, and the points of one of its cells."""


def _place(evidence: Evidence, axes: Mapping[str, str]) -> Place:
    """Return the place that differs from a cell's in these axes."""
    points = {**evidence.entry.axes, **axes}.items()
    return evidence.witness.run, evidence.witness.guest, frozenset(points)


def _shown(control: Control | None, asked: Iterable[Evidence]) -> frozenset[Place]:
    """Return the places at which the control of a part holds."""
    return frozenset(
        _place(one, {})
        for one in asked
        if control is not None
        and control.axes.items() <= one.entry.axes.items()
        and one.entry.state is State.MEASURED
        and control.holds(one)
    )


def _agrees(part: Part, evidence: Evidence, shown: frozenset[Place]) -> bool | None:
    if evidence.entry.state is not State.MEASURED:
        return None
    if part.control is not None and _place(evidence, part.control.axes) not in shown:
        return None
    return part.holds(evidence)


def _reached(part: Part, witness: Witness) -> bool:
    return part.subject.reaches(numbers(witness.release))


def _state(part: Part, evidence: Evidence) -> str:
    """Return why a cell did not decide a part."""
    if evidence.entry.state is not State.MEASURED:
        return evidence.entry.state.value
    if absent(evidence):
        return WITHOUT
    if part.control is not None and part.holds(evidence) is not None:
        return f"where it was not shown that {part.control.says}"
    return SILENT


def _missing(part: Part, cells: Sequence[Decided]) -> str | None:
    """Return what the guest with the fewest gaps lacks for a confirmation; None if nothing.

    A part about `other systems` can be refuted but never confirmed: some are always left untested.
    """
    guests: dict[tuple[str, str | None], list[Mapping[str, str]]] = {}
    for cell in cells:
        key = (cell.witness.guest, cell.witness.release)
        guests.setdefault(key, []).append(cell.entry.axes)
    gaps = [
        [
            f"{axis}={value}"
            for axis in part.across
            for value in part.axes[axis]
            if value != EACH.get(axis)
            and all(axes.get(axis) not in (value, EACH.get(axis, value)) for axes in decided)
        ]
        for decided in guests.values()
    ]
    if not gaps:
        return None
    fewest = min(gaps, key=lambda gap: len(gap))
    if fewest:
        return f"nothing was measured at {', '.join(fewest)}"
    return "some systems were not run" if part.subject.others else None


def _point(cell: Decided) -> Point:
    """Return what may separate a cell from others: its guest, the guest's settings, its axes."""
    witness = cell.witness
    attributes = {"system": witness.system, "version": witness.release or "unknown"}
    attributes |= {name: str(value) for name, value in witness.settings.items()}
    attributes |= {**cell.entry.axes, "guest": witness.guest, "run": witness.run}
    return attributes, cell.agrees


def _why(part: Part, record: Record, undecided: Mapping[str, int], missing: str | None) -> str:
    """Return why a part is not tested; of several reasons the one closest to a test."""
    subject = part.subject
    if missing is not None:
        return f"what was measured agrees, but {missing}"
    if undecided:
        return ", ".join(f"{count} {state}" for state, count in sorted(undecided.items()))
    if not _in_catalogue(part):
        return f"no scenario asks this yet: {_question(part)}"
    there = record.witnesses
    if any(subject.includes(one) and _reached(part, one) for one in there):
        return f"the run did not ask {_question(part)}"
    if any(subject.systems == (one.system,) for one in there):
        return "only other releases or settings of this system were measured"
    return "no guest of this system was run"


def _answering(record: Record) -> tuple[Witness, ...]:
    """Return the guests that answered at least one question."""
    answered = {
        (one.witness.run, one.witness.guest)
        for found in record.evidence.values()
        for one in found
        if one.entry.state in ANSWERED
    }
    return tuple(one for one in record.witnesses if (one.run, one.guest) in answered)


def _question(part: Part) -> str:
    return " ".join([part.scenario, *(f"{k}={'|'.join(v)}" for k, v in part.axes.items())])


def _in_catalogue(part: Part) -> bool:
    return any(part.asks(cell.axes) for cell in _asked(part.scenario))


@cache
def _asked(scenario: str) -> tuple[Cell, ...]:
    found = CATALOGUE.get(scenario)
    return found.cells(Depth.FULL) if found is not None else ()
