"""The stated error rates hold: by enumeration, the union bound with scipy's tails, simulation."""

import math
import random
from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy.stats import beta, binom, hypergeom

from harness.scenarios import statistics
from harness.scenarios.statistics import ALPHA_BALANCED, ALPHA_OTHER, Decision, acceptance, decide

SIZES = [(20, 2), (48, 4), (400, 4), (400, 2), (1000, 3), (1600, 16), (20000, 4), (20000, 300)]


@pytest.mark.parametrize(("flows", "members"), SIZES)
def test_tails_are_those_of_scipy(flows: int, members: int) -> None:
    share = 1 / members
    spread = 8 * math.sqrt(flows * share)
    low, high = max(0, int(flows * share - spread)), min(flows, int(flows * share + spread))
    for count in {0, 1, low, (low + high) // 2, flows // members, high, flows - 1, flows}:
        lower, upper = binom.cdf(count, flows, share), binom.sf(count - 1, flows, share)
        found = statistics.lower_tail(flows, count, share)
        assert found == pytest.approx(lower, rel=1e-8, abs=1e-290)
        found = statistics.upper_tail(flows, count, share)
        assert found == pytest.approx(upper, rel=1e-8, abs=1e-290)


@pytest.mark.parametrize(("flows", "members"), SIZES)
@pytest.mark.parametrize("alpha", [ALPHA_BALANCED, ALPHA_OTHER])
def test_the_union_bound_with_scipys_tails_proves_the_size(
    flows: int, members: int, alpha: float
) -> None:
    """P(any member's count is out of bounds) <= k P(one member's is), whatever the dependence."""
    least, most = acceptance(flows, members, alpha)
    share = 1 / members
    out = members * (binom.cdf(least - 1, flows, share) + binom.sf(most, flows, share))
    assert out <= alpha


@pytest.mark.parametrize(("flows", "members"), SIZES)
def test_the_bounds_are_those_of_the_decision(flows: int, members: int) -> None:
    least, most = acceptance(flows, members, ALPHA_BALANCED)
    rest = members - 1

    def with_one(count: int) -> list[int]:
        each, more = divmod(flows - count, rest)
        return [count, *([each + 1] * more), *([each] * (rest - more))]

    assert decide(with_one(most)) is Decision.BALANCED
    assert decide(with_one(most + 1)) is not Decision.BALANCED
    assert decide(with_one(least)) is Decision.BALANCED
    if least > 0:
        assert decide(with_one(least - 1)) is not Decision.BALANCED


def every_count(flows: int, members: int) -> Iterator[tuple[int, ...]]:
    """Yield every way to divide the flows among the members (stars and bars)."""
    for bars in combinations(range(flows + members - 1), members - 1):
        ends = (-1, *bars, flows + members - 1)
        yield tuple(right - left - 1 for left, right in pairwise(ends))


@pytest.mark.parametrize(("flows", "members"), [(20, 2), (40, 2), (34, 3), (48, 4), (56, 4)])
def test_enumeration_of_all_outcomes_proves_both_rates(flows: int, members: int) -> None:
    """The exact chance of each decision under a uniform hash, over all outcomes."""
    assert statistics.enough(flows, members)
    chances = dict.fromkeys(Decision, 0.0)
    for counts in every_count(flows, members):
        ways = math.lgamma(flows + 1) - sum(math.lgamma(count + 1) for count in counts)
        chances[decide(counts)] += math.exp(ways - flows * math.log(members))
    assert sum(chances.values()) == pytest.approx(1)
    assert chances[Decision.BALANCED] >= 1 - ALPHA_BALANCED
    assert chances[Decision.OTHER] <= ALPHA_OTHER


@pytest.mark.parametrize(("flows", "members"), [(400, 4), (400, 2), (100, 3), (20000, 300)])
def test_simulation_agrees_with_both_rates(flows: int, members: int) -> None:
    """A uniform hash with a fixed seed, 2 million times (40000 for the largest case).

    The limit for `not balanced` is the 1e-6 upper quantile of Binomial(trials, 0.001): at a true
    rate of 0.001 more rejections would be a surprise. For `other` it is that of rate 1e-6.
    """
    trials = 40_000 if members == 300 else 2_000_000
    draws = np.random.default_rng(20261122)
    rejected = other = done = 0
    bounds = {alpha: acceptance(flows, members, alpha) for alpha in (ALPHA_BALANCED, ALPHA_OTHER)}
    while done < trials:
        some = min(50_000, trials - done)
        counts = draws.multinomial(flows, [1 / members] * members, size=some)
        smallest, largest = counts.min(axis=1), counts.max(axis=1)
        for alpha, (least, most) in bounds.items():
            out = int(((smallest < least) | (largest > most)).sum())
            rejected += out if alpha == ALPHA_BALANCED else 0
            other += out if alpha == ALPHA_OTHER else 0
        done += some
    assert rejected <= binom.isf(1e-6, trials, ALPHA_BALANCED)
    assert other <= binom.isf(1e-6, trials, ALPHA_OTHER)


@pytest.mark.parametrize(
    "counts",
    [[400, 0, 0, 0], [200, 200, 0, 0], [134, 133, 133, 0], [200, 67, 67, 66], [250, 50, 50, 50]],
)
def test_what_is_clearly_uneven_is_told_from_400_flows(counts: list[int]) -> None:
    assert decide(counts) is Decision.OTHER


@pytest.mark.parametrize("counts", [[144, 85, 85, 86], [60, 113, 113, 114]])
def test_what_lies_between_the_two_sizes_is_unclear(counts: list[int]) -> None:
    assert decide(counts) is Decision.UNCLEAR


def test_too_few_flows_say_nothing_however_they_fall() -> None:
    assert decide([3, 0, 0, 0]) is Decision.UNCLEAR
    assert decide([1, 1, 1, 0]) is Decision.UNCLEAR
    assert decide([46, 0, 0, 0]) is Decision.UNCLEAR
    assert decide([12, 12, 12, 12]) is Decision.BALANCED
    assert decide([400]) is Decision.UNCLEAR
    assert decide([]) is Decision.UNCLEAR
    assert decide([0, 0]) is Decision.UNCLEAR


@pytest.mark.parametrize(("flows", "members"), [(21, 2), (11, 4), (16, 3), (4, 300)])
def test_one_taker_may_be_said_from_a_number_of_flows_on(flows: int, members: int) -> None:
    assert statistics.one_taker_chance(flows, members) == pytest.approx(members ** (1 - flows))
    telling = members ** (1 - flows) <= ALPHA_OTHER
    assert statistics.one_taker_is_telling(flows, members) is telling
    assert not statistics.one_taker_is_telling(flows, 1)
    assert not statistics.one_taker_is_telling(2, members)


def test_the_detectable_deviation_is_where_balanced_ends() -> None:
    deviation = statistics.detectable(400, 4)
    assert deviation == pytest.approx(0.1075)
    share = 0.25 + 2 * deviation
    seen = random.Random(5)
    noticed = 0
    for _ in range(200):
        takes = sum(seen.random() < share for _ in range(400))
        rest = 400 - takes
        noticed += decide([takes, rest // 3, rest // 3, rest - 2 * (rest // 3)]) is not (
            Decision.BALANCED
        )
    assert noticed >= 198


def test_dispersion_tells_taking_turns_from_a_hash() -> None:
    assert statistics.dispersion([100, 100, 100, 100]) == 0
    assert 0.2 < statistics.dispersion([92, 105, 89, 114]) < 3
    assert statistics.dispersion([400, 0, 0, 0]) == pytest.approx(400)
    assert statistics.dispersion([7]) == 0


@pytest.mark.parametrize("trials", [1, 7, 48, 688, 13300])
def test_what_none_of_n_excludes_is_the_exact_interval_of_scipy(trials: int) -> None:
    rate = statistics.excluded(trials)
    assert rate == pytest.approx(beta.ppf(1 - statistics.ALPHA_EXCLUDED, 1, trials), rel=1e-9)
    assert binom.pmf(0, trials, rate) == pytest.approx(statistics.ALPHA_EXCLUDED, rel=1e-9)


def test_nothing_tried_excludes_nothing() -> None:
    assert statistics.excluded(0) == 1.0


def shares() -> list[tuple[int, int, int, int]]:
    draws = random.Random(7)
    sizes = (1, 2, 9, 160, 400, 20000)
    pairs = [(draws.choice(sizes), draws.choice(sizes)) for _ in range(60)]
    drawn = [(draws.randint(0, n), n, draws.randint(0, m), m) for n, m in pairs]
    near = [(n // 3, n, (m + 1) // 3, m) for n, m in pairs]
    return [*drawn, *near, (0, 5, 0, 5), (5, 5, 5, 5), (0, 400, 400, 400)]


@pytest.mark.parametrize("table", shares())
def test_the_p_value_of_one_share_is_twice_the_tail_of_scipys_hypergeometric(
    table: tuple[int, int, int, int],
) -> None:
    hits, flows, others, of = table
    if hits * of < others * flows:
        hits, flows, others, of = others, of, hits, flows
    tail = hypergeom.sf(hits - 1, flows + of, hits + others, flows)
    found = statistics.p_one_share(*table)
    assert found == pytest.approx(min(1, 2 * tail), rel=1e-6, abs=1e-290)
    assert found == pytest.approx(statistics.p_one_share(*table[2:], *table[:2]))


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.64])
@pytest.mark.parametrize("alpha", [1e-3, 1e-6])
def test_one_share_is_hardly_ever_taken_for_two(share: float, alpha: float) -> None:
    """Exact, over all pairs of counts that 40 and 60 flows with the same share can have."""
    wrong = sum(
        binom.pmf(hits, 40, share) * binom.pmf(others, 60, share)
        for hits in range(41)
        for others in range(61)
        if statistics.p_one_share(hits, 40, others, 60) <= alpha
    )
    assert wrong <= alpha
