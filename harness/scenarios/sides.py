"""Two sides of one port's members: which of them serves, in one order of bind() or in both."""

from collections.abc import Mapping

from msgspec.structs import replace

from harness.model import Judgement, State
from harness.scenarios.tally import SAME, STRAY, Tally, measured, tally, unclear
from harness.wire.observation import Attempt, Observation
from harness.wire.script import DueAttempt, DueFlows, Step

Sides = tuple[str, str]
"""The words for the first and the second half of the members."""

TAKEN = "EADDRINUSE"
"""The errno of a socket that is refused because of another one."""

ONE_ORDER = "one-order"
"""The word for sockets that stand together only if one side binds first."""

CROSSED: tuple[Step, ...] = (DueAttempt("crossed", needed=True), DueFlows("crossed"))
"""The steps of the second order."""


def in_one_order(seen: Observation, sides: Sides) -> Judgement:
    """Name the side that serves all flows of the first order, or `both` with the share."""
    return _in_order(seen, "all", sides, tally(seen.phase("all")).flows)


def in_both_orders(seen: Observation, sides: Sides) -> Judgement:
    """Name the side that serves all flows in both orders, or `newest`, `oldest` or `both`."""
    every = _of_orders(seen)
    one = _in_order(seen, "all", sides, every.flows)
    crossed = seen.attempt("crossed")
    if crossed is not None and crossed.error is not None:
        return _one_order(one, crossed, sides)
    other = _in_order(seen, "crossed", sides, every.flows)
    counts = {**every.counts(), **_by_side(seen, every, sides)}
    counts |= {f"crossed_{name}": count for name, count in other.counts.items()}
    if (loss := every.loss()) is not None:
        return unclear(loss, counts)
    return replace(_of_both(one, other, sides, seen), counts=counts)


def _of_orders(seen: Observation) -> Tally:
    """Count the flows of both orders, without those of later phases."""
    asked = (flows.fates for flows in seen.flows if flows.phase in ("all", "crossed"))
    return Tally.of([fate for fates in asked for fate in fates])


def _one_order(one: Judgement, crossed: Attempt, sides: Sides) -> Judgement:
    """Judge that the second order is refused; the counts are those of the first, `one`."""
    if crossed.error == TAKEN and one.state is State.MEASURED:
        return replace(one, verdict=f"{ONE_ORDER}:{TAKEN}")
    why = f"with {sides[1]} bound first the other is refused: {crossed.call} {crossed.error};"
    why += f" with {sides[0]} bound first: {one.verdict or one.why}"
    return Judgement(State.NOT_APPLICABLE, why=why, counts=one.counts)


def _by_side(seen: Observation, served: Tally, sides: Sides) -> dict[str, int]:
    """Count the flows of each side."""
    half = seen.listeners // 2
    ahead = sum(count for index, count in served.members.items() if index < half)
    return {f"served_by_{sides[0]}": ahead, f"served_by_{sides[1]}": served.served - ahead}


def _in_order(seen: Observation, phase: str, sides: Sides, flows: int) -> Judgement:
    """Name who serves in one order; `flows` is how many were asked in all."""
    everything = tally(seen.phase(phase))
    by_side = _by_side(seen, everything, sides)
    counts = {**everything.counts(), **by_side}
    if everything.copied >= SAME * everything.flows:
        return measured("copied", counts)
    loss = everything.loss() if everything.astray > STRAY * flows else None
    if loss is not None or everything.copied > STRAY * flows:
        return unclear(loss or f"{everything.copied} datagrams reached several, others one", counts)
    return _named(by_side[f"served_by_{sides[0]}"], everything.served, sides, counts, STRAY * flows)


def _named(
    ahead: int, served: int, sides: Sides, counts: Mapping[str, int], few: float
) -> Judgement:
    """Name a preference or a share; a few flows to the other side are neither."""
    share = ahead / served
    figures = {"first_share": share}
    if ahead in (0, served):
        return measured(sides[ahead == 0], counts, figures)
    if min(ahead, served - ahead) <= few:
        why = f"{share:.1%} of the flows reached {sides[0]}: neither a preference nor a share"
        return unclear(why, counts, figures)
    return measured(f"both:{share:.2f}", counts, figures)


def _of_both(one: Judgement, other: Judgement, sides: Sides, seen: Observation) -> Judgement:
    """Judge both orders together: in `one` the first side binds first, in `other` the second."""
    words = tuple((found.verdict or "").partition(":")[0] for found in (one, other))
    found = tuple(found.verdict or found.why or "" for found in (one, other))
    if "" in words or (words[0] != words[1] and not {*words} <= {*sides}):
        said = (f"with {side} bound first: {word}" for side, word in zip(sides, found, strict=True))
        return unclear("; ".join(said), {})
    if words[0] != words[1]:
        return measured("newest" if words == sides[::-1] else "oldest", {})
    if words[0] != "both":
        return measured(words[0], {})
    served = _of_orders(seen)
    share = _by_side(seen, served, sides)[f"served_by_{sides[0]}"] / served.served
    return measured(f"both:{share:.2f}", {}, {"first_share": share})
