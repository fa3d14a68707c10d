"""Lists what a run could not measure, and why."""

from collections.abc import Iterator, Mapping

from harness.matrix import Matrix
from harness.matrix.missing import failed
from harness.model import State
from harness.run.plan import Plan


def unmeasured(plan: Plan, matrix: Matrix, given_up: Mapping[str, str]) -> tuple[str, ...]:
    """Return one line for each thing that was requested and not measured, with the reason.

    `given_up` has the guests whose machines were lost.
    """
    return (*failed(matrix), *_missed(plan, matrix, given_up))


def _missed(plan: Plan, matrix: Matrix, given_up: Mapping[str, str]) -> Iterator[str]:
    """Yield the guests that were not measured.

    A guest that is named itself must be measured; of a system, at least one guest; of `all` and
    `available`, any guest at all. One whose machine was lost must be measured in any case.
    """
    reasons = {cell.guest: cell.why for cell in matrix.cells if cell.state is State.NOT_RUN}
    partly = {cell.guest for cell in matrix.cells if cell.state is not State.NOT_RUN}
    hints = {candidate.guest.name: candidate.hint for candidate in plan.candidates}
    for guests in plan.named.values():
        if not partly.intersection(guests):
            for guest in (one for one in guests if one not in given_up):
                yield f"{guest} was not measured: {reasons.get(guest)}{_hint(hints.get(guest))}"
    for guest in sorted(given_up.keys() - partly):
        yield f"{guest} was not measured: {given_up[guest]}"
    for guest in sorted(partly & reasons.keys()):
        yield f"{guest}: some cells were not asked: {reasons[guest]}"
    if not plan.named and not partly:
        yield "no guest could be measured on this machine"


def _hint(hint: str | None) -> str:
    return f" ({hint})" if hint else ""
