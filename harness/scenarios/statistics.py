"""Exact tests with stated sizes: are flows spread evenly, or did one member take everything?

Nothing but `math`: the tails are sums of binomial terms, exact to rounding (about 1e-10,
relative), and need some hundreds of terms at most.

**The test.** Under a uniform hash of n flows over k members each member's count is
Binomial(n, 1/k). Its exact two-sided tail is twice the smaller of P(X <= c) and P(X >= c), which
is <= a with probability <= a. The smallest over the members, times k (Bonferroni), is a p-value
of the whole: the chance of p <= a is <= a whatever the dependence between the counts, so no
asymptotic argument (chi-squared with 1.3 flows a cell) and no simulation is needed, and only the
largest and the smallest count have to be looked at. It is a little conservative, and strongest
where kernels differ: a member that gets all, much more than its share, or nothing.

**The rule.** p > `ALPHA_BALANCED`: balanced; p <= `ALPHA_OTHER`: not; between: unclear. A uniformly
hashing kernel is called balanced with probability >= 0.99999 and anything else with <= 1e-6. With
too few flows p could not get small whatever happened: then nothing is said (`enough`).
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from enum import StrEnum

ALPHA_BALANCED = 1e-5
"""Largest chance of not calling a uniform spread balanced. A full run decides some 500 times. At
0.001, which docs/traps.md ("Statistics") allows each of them, every second run had a cell that was
unclear by chance, and no two runs would agree."""

ALPHA_EXCLUDED = 0.001
"""Largest chance that a rate which is called excluded is the true one."""

ALPHA_OTHER = 1e-6
"""Largest chance of calling a uniform spread anything but balanced or unclear."""

NEGLIGIBLE = 1e-18
"""A term this small beside the sum, with smaller ones to follow, ends the sum."""


class Decision(StrEnum):
    """What may be said of a spread."""

    BALANCED = "balanced"
    OTHER = "other"
    UNCLEAR = "unclear"


def _term(flows: int, count: int, share: float) -> float:
    """P(X = count) for X of Binomial(flows, share), by logarithms: 20000! is no float."""
    choose = math.lgamma(flows + 1) - math.lgamma(count + 1) - math.lgamma(flows - count + 1)
    return math.exp(choose + count * math.log(share) + (flows - count) * math.log1p(-share))


def _outward(flows: int, count: int, share: float, step: int) -> float:
    """Sum the terms from `count` away from the mean; they shrink all the way."""
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
    """Whether one idle member would have been noticed: else `balanced` would say nothing."""
    if members < 2:
        return False
    return 2 * members * math.exp(flows * math.log1p(-1 / members)) <= ALPHA_BALANCED


def decide(counts: Sequence[int]) -> Decision:
    """Return what may be said of the counts of all members, idle ones included."""
    if not enough(sum(counts), len(counts)):
        return Decision.UNCLEAR
    p = p_uniform(counts)
    if p > ALPHA_BALANCED:
        return Decision.BALANCED
    return Decision.OTHER if p <= ALPHA_OTHER else Decision.UNCLEAR


def one_taker_chance(flows: int, members: int) -> float:
    """Return k ** (1 - n): how often a uniform hash gives all n flows to one of k members."""
    return min(1.0, math.exp((1 - flows) * math.log(members)))


def one_taker_is_telling(flows: int, members: int) -> bool:
    """Whether `one member took everything` may be said of so few flows and members."""
    return one_taker_chance(flows, members) <= ALPHA_OTHER


def excluded(trials: int) -> float:
    """Return the rate from which on nothing in so many trials has a chance <= `ALPHA_EXCLUDED`.

    Of `trials` independent ones: the upper end of the exact interval (Clopper and Pearson) for
    none of n. About 6.9 / n.
    """
    return -math.expm1(math.log(ALPHA_EXCLUDED) / trials) if trials > 0 else 1.0


def _table(hits: int, flows: int, others: int, of: int) -> float:
    """P(X = hits) if all hits fell on `flows` and `of` blindly: X is hypergeometric."""
    ways = (
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        for n, k in ((flows, hits), (of, others), (flows + of, hits + others))
    )
    one, other, both = ways
    return math.exp(one + other - both)


def _at_least(hits: int, flows: int, others: int, of: int) -> float:
    """P(X >= hits) given the sum of hits; from the mean up the terms soon shrink."""
    term = total = _table(hits, flows, others, of)
    while hits < flows and others > 0 and term > total * NEGLIGIBLE:
        term *= (flows - hits) / (hits + 1) * others / (of - others + 1)
        hits, others = hits + 1, others - 1
        total += term
    return total


def p_one_share(hits: int, flows: int, others: int, of: int) -> float:
    """Return the p-value of one share behind both: `hits` of `flows`, and `others` of `of`.

    Fisher's exact test: given the sum of the hits, the unknown share itself plays no part. Twice
    the tail on the side of the larger share, which is two-sided as above.
    """
    if hits * of < others * flows:
        hits, flows, others, of = others, of, hits, flows
    return min(1.0, 2 * _at_least(hits, flows, others, of))


def acceptance(flows: int, members: int, alpha: float) -> tuple[int, int]:
    """Return the smallest and the largest count of a member that p > alpha allows."""
    limit, share = alpha / members / 2, 1 / members
    candidates = range(flows + 1)
    least = bisect_right(candidates, limit, key=lambda count: lower_tail(flows, count, share))
    past = bisect_left(candidates, -limit, key=lambda count: -upper_tail(flows, count, share))
    return least, past - 1


def detectable(flows: int, members: int) -> float:
    """Return the deviation from 1/k of a member's share from which on `balanced` is denied.

    The effect size of a `balanced`: a member whose true share is off by so much would have been
    noticed about every second time, one that is off by twice as much nearly always.
    """
    if members < 2 or flows == 0:
        return 1.0
    _, most = acceptance(flows, members, ALPHA_BALANCED)
    return min(1.0, (most + 1) / flows) - 1 / members


def dispersion(counts: Sequence[int]) -> float:
    """Return chi-squared over its degrees of freedom: about 1 for a hash, 0 for taking turns."""
    flows, members = sum(counts), len(counts)
    if members < 2 or flows == 0:
        return 0.0
    mean = flows / members
    return sum((count - mean) ** 2 for count in counts) / mean / (members - 1)
