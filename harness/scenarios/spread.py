"""How the flows of a phase spread over the members that could have served them."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct, field

from harness.scenarios import statistics
from harness.scenarios.statistics import Decision
from harness.scenarios.tally import REFUSED, SAME, STRAY, Tally, too_few


class Shape(StrEnum):
    """How a phase's flows are spread."""

    BALANCED = "balanced"
    ONE = "one"
    SKEWED = "skewed"
    COPIED = "copied"
    REFUSED = "refused"
    UNCLEAR = "unclear"


class Spread(Struct, frozen=True):
    """A shape and its figures; `taker` is set for `ONE`, `why` for `UNCLEAR`."""

    shape: Shape
    taker: int | None = None
    why: str = ""
    statistics: Mapping[str, float] = field(default_factory=dict)


def spread(tally: Tally, members: Sequence[int]) -> Spread:
    """Return the shape of a phase's tally, with the error rates stated in `statistics`.

    Up to `STRAY` of the flows may go astray. They are left out, as if each member lost the same
    share of them.
    """
    # A uniformity test makes sense only if each flow reached one member that was expected to serve,
    # so everything else is ruled out first.
    if tally.copied >= SAME * tally.flows:
        return Spread(Shape.COPIED)
    if tally.copied > STRAY * tally.flows:
        why = f"{tally.copied} of {tally.flows} datagrams reached several members, others one"
        return Spread(Shape.UNCLEAR, why=why)
    if tally.unserved.get(REFUSED, 0) >= SAME * tally.flows:
        return Spread(Shape.REFUSED)
    if (loss := tally.loss()) is not None:
        return Spread(Shape.UNCLEAR, why=loss)
    strangers = {index for index in tally.members if index not in members}
    if strangers:
        names = ", ".join(str(index + 1) for index in sorted(strangers))
        return Spread(Shape.UNCLEAR, why=f"served by listener {names}, which was not to serve")
    return _shape([tally.members.get(index, 0) for index in members], members)


def _shape(counts: Sequence[int], members: Sequence[int]) -> Spread:
    flows, decision, figures = sum(counts), statistics.decide(counts), _figures(counts)
    if max(counts) == flows and statistics.one_taker_is_telling(flows, len(counts)):
        return Spread(Shape.ONE, taker=members[counts.index(flows)], statistics=figures)
    if decision is Decision.BALANCED:
        return Spread(Shape.BALANCED, statistics=figures)
    if decision is Decision.OTHER:
        return Spread(Shape.SKEWED, statistics=figures)
    why = f"p = {figures['p_uniform']:.2g} for an even spread: neither likely nor excluded"
    if not statistics.enough(flows, len(counts)):
        why = too_few(flows, f"tell how {len(counts)} listeners share them")
    return Spread(Shape.UNCLEAR, why=why, statistics=figures)


def _figures(counts: Sequence[int]) -> Mapping[str, float]:
    """Return the p-values, the shares, and the deviation that the test would have detected."""
    flows = sum(counts)
    return {
        "p_uniform": statistics.p_uniform(counts),
        "one_taker_chance": statistics.one_taker_chance(flows, len(counts)),
        "largest_share": max(counts) / flows if flows else 0.0,
        "smallest_share": min(counts) / flows if flows else 0.0,
        "detectable_deviation": statistics.detectable(flows, len(counts)),
        "dispersion": statistics.dispersion(counts),
    }
