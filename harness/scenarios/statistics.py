"""Exact tests with stated error rates: is a spread even, or did one member take everything?

This needs only `math`: the tails are sums of at most some hundreds of binomial terms, exact up to
rounding (relative error about 1e-10).

**The test.** If a kernel hashes n flows uniformly over k members, each member's count c is
Binomial(n, 1/k). The exact two-sided p-value of one count is twice the smaller of P(X <= c) and
P(X >= c). The smallest of these over all members, times k (Bonferroni), is a p-value of the whole
spread: the chance of p <= a is at most a, however the counts depend on each other. So it needs no
asymptotic argument (chi-squared with 1.3 flows a cell would) and no simulation, and only the
largest and the smallest count matter. The test is slightly conservative. It is strongest where
kernels differ: one member gets everything, much more than its share, or nothing.

**The rule.** p > `ALPHA_BALANCED` is balanced, p <= `ALPHA_OTHER` is not, and anything between is
unclear. A kernel that hashes uniformly is called balanced with probability >= 0.99999, and anything
else but unclear with probability <= 1e-6. With too few flows p can never be small; then the result
is unclear too (`enough`).
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from enum import StrEnum

ALPHA_BALANCED = 1e-5
"""Largest chance of not calling a uniform spread balanced. A full run decides about 500 times. At
0.001, which docs/traps.md ("Statistics") allows, every second run would have a cell that is unclear
by chance, and hardly two runs would agree."""

ALPHA_EXCLUDED = 0.001
"""Largest chance that a rate called excluded is the true one."""

ALPHA_OTHER = 1e-6
"""Largest chance of calling a uniform spread anything but balanced or unclear."""

NEGLIGIBLE = 1e-18
"""A sum stops at a term that is smaller than this share of it; all later terms are smaller."""


class Decision(StrEnum):
    """The result of the test of a spread."""

    BALANCED = "balanced"
    OTHER = "other"
    UNCLEAR = "unclear"


def _term(flows: int, count: int, share: float) -> float:
    """P(X = count) for X of Binomial(flows, share), by logarithms: 20000! overflows a float."""
    choose = math.lgamma(flows + 1) - math.lgamma(count + 1) - math.lgamma(flows - count + 1)
    return math.exp(choose + count * math.log(share) + (flows - count) * math.log1p(-share))


def _outward(flows: int, count: int, share: float, step: int) -> float:
    """Sum the terms from `count` away from the mean; each is smaller than the one before."""
    term = total = _term(flows, count, share)
    odds = share / (1 - share)
    while 0 <= count + step <= flows and term > total * NEGLIGIBLE:
        if step > 0:
            term *= (flows - count) / (count + 1) * odds
        else:
            term *= count / (flows - count + 1) / odds
        total += term
        count += step
    return total


def lower_tail(flows: int, count: int, share: float) -> float:
    """P(X <= count) for X of Binomial(flows, share), 0 < share < 1."""
    if count < 0:
        return 0.0
    if count >= flows:
        return 1.0
    if count > flows * share:
        return 1.0 - _outward(flows, count + 1, share, 1)
    return min(1.0, _outward(flows, count, share, -1))


def upper_tail(flows: int, count: int, share: float) -> float:
    """P(X >= count) for X of Binomial(flows, share), 0 < share < 1."""
    return lower_tail(flows, flows - count, 1 - share)


def two_sided(flows: int, count: int, share: float) -> float:
    """Return the exact two-sided p-value of one count: twice its smaller tail, at most 1."""
    smaller = min(lower_tail(flows, count, share), upper_tail(flows, count, share))
    return min(1.0, 2 * smaller)


def p_uniform(counts: Sequence[int]) -> float:
    """Return the p-value of a uniform spread over two or more members; 1 for fewer."""
    flows, members = sum(counts), len(counts)
    if members < 2 or flows == 0:
        return 1.0
    extremes = {min(counts), max(counts)}
    return min(1.0, members * min(two_sided(flows, count, 1 / members) for count in extremes))


def enough(flows: int, members: int) -> bool:
    """Whether one idle member would make p small; if not, `balanced` would mean nothing."""
    if members < 2:
        return False
    return 2 * members * math.exp(flows * math.log1p(-1 / members)) <= ALPHA_BALANCED


def decide(counts: Sequence[int]) -> Decision:
    """Return the result for the counts of all members, idle ones included."""
    if not enough(sum(counts), len(counts)):
        return Decision.UNCLEAR
    p = p_uniform(counts)
    if p > ALPHA_BALANCED:
        return Decision.BALANCED
    return Decision.OTHER if p <= ALPHA_OTHER else Decision.UNCLEAR


def one_taker_chance(flows: int, members: int) -> float:
    """Return k ** (1 - n), the chance that a uniform hash gives all n flows to one of k members."""
    return min(1.0, math.exp((1 - flows) * math.log(members)))


def one_taker_is_telling(flows: int, members: int) -> bool:
    """Whether there are enough flows to say that one member took everything, not by chance."""
    return one_taker_chance(flows, members) <= ALPHA_OTHER


def excluded(trials: int) -> float:
    """Return the smallest rate that is excluded by no event in `trials` independent trials.

    At this rate the chance of no event is `ALPHA_EXCLUDED`. It is the upper end of the exact
    (Clopper-Pearson) interval for 0 of n, about 6.9 / n.
    """
    return -math.expm1(math.log(ALPHA_EXCLUDED) / trials) if trials > 0 else 1.0


def highest_share(hits: int, trials: int, alpha: float = 0.05) -> float:
    """Return the largest share that `hits` of `trials` leave possible, with 1 - `alpha` certainty.

    This is the upper end of the exact one-sided (Clopper-Pearson) interval: the share at which as
    few hits, or fewer, have the chance `alpha`. For 0 of n it is about 3 / n.
    """
    if hits >= trials:
        return 1.0
    low, high = hits / trials, 1.0
    for _ in range(60):  # halves the interval to less than a float can tell
        middle = (low + high) / 2
        low, high = (middle, high) if lower_tail(trials, hits, middle) > alpha else (low, middle)
    return high


def _table(hits: int, flows: int, others: int, of: int) -> float:
    """P(X = hits) if all hits fall on `flows` and `of` at random: X is hypergeometric."""
    ways = (
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        for n, k in ((flows, hits), (of, others), (flows + of, hits + others))
    )
    one, other, both = ways
    return math.exp(one + other - both)


def _at_least(hits: int, flows: int, others: int, of: int) -> float:
    """P(X >= hits) given the sum of hits; above the mean the terms shrink."""
    term = total = _table(hits, flows, others, of)
    while hits < flows and others > 0 and term > total * NEGLIGIBLE:
        term *= (flows - hits) / (hits + 1) * others / (of - others + 1)
        hits, others = hits + 1, others - 1
        total += term
    return total


def p_one_share(hits: int, flows: int, others: int, of: int) -> float:
    """Return the p-value for `hits` of `flows` and `others` of `of` having the same true share.

    This is Fisher's exact test: given the sum of the hits, the unknown share does not matter. The
    result is twice the tail on the side of the larger share, two-sided as above.
    """
    if hits * of < others * flows:
        hits, flows, others, of = others, of, hits, flows
    return min(1.0, 2 * _at_least(hits, flows, others, of))


def acceptance(flows: int, members: int, alpha: float) -> tuple[int, int]:
    """Return the smallest and the largest count of a member for which p > alpha."""
    limit, share = alpha / members / 2, 1 / members
    candidates = range(flows + 1)
    least = bisect_right(candidates, limit, key=lambda count: lower_tail(flows, count, share))
    past = bisect_left(candidates, -limit, key=lambda count: -upper_tail(flows, count, share))
    return least, past - 1


def detectable(flows: int, members: int) -> float:
    """Return the smallest deviation of a member's share from 1/k that prevents `balanced`.

    This is the effect size of a `balanced`: if a true share deviates by this much, the test notices
    it about every second time; if it deviates by twice as much, nearly always.
    """
    if members < 2 or flows == 0:
        return 1.0
    _, most = acceptance(flows, members, ALPHA_BALANCED)
    return min(1.0, (most + 1) / flows) - 1 / members


def dispersion(counts: Sequence[int]) -> float:
    """Return chi-squared over its degrees of freedom: about 1 for a hash, 0 for round robin."""
    flows, members = sum(counts), len(counts)
    if members < 2 or flows == 0:
        return 0.0
    mean = flows / members
    return sum((count - mean) ** 2 for count in counts) / mean / (members - 1)
