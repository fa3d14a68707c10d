"""Lists what a run could not measure, and why."""

from collections.abc import Iterator

from harness.matrix import Matrix
from harness.matrix.missing import failed
from harness.model import State
from harness.run.plan import Plan


def unmeasured(plan: Plan, matrix: Matrix) -> tuple[str, ...]:
    """Return one line for each thing that was requested and not measured, with the reason."""
    return (*failed(matrix), *_missed(plan, matrix))


def _missed(plan: Plan, matrix: Matrix) -> Iterator[str]:
    """Yield the guests that were not measured.

    A guest that is named itself must be measured; of a system, at least one guest; of `all` and
    `available`, any guest at all.
    """
    reasons = {cell.guest: cell.why for cell in matrix.cells if cell.state is State.NOT_RUN}
    partly = {cell.guest for cell in matrix.cells if cell.state is not State.NOT_RUN}
    hints = {candidate.guest.name: candidate.hint for candidate in plan.candidates}
    for guests in plan.named.values():
        if not partly.intersection(guests):
            for guest in guests:
                yield f"{guest} was not measured: {reasons.get(guest)}{_hint(hints.get(guest))}"
    for guest in sorted(partly & reasons.keys()):
        yield f"{guest}: some cells were not asked: {reasons[guest]}"
    if not plan.named and not partly:
        yield "no guest could be measured on this machine"


def _hint(hint: str | None) -> str:
    return f" ({hint})" if hint else ""
