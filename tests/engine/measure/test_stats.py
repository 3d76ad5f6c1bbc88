"""Statistics against what they must equal: published values, brute force, and coverage by simulation."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.measure import paired, sequential, stats


def test_wilson_matches_the_published_example():
    share = stats.interval(81, 263)  # Newcombe 1998, table I, method 3
    assert (round(share.low, 4), round(share.high, 4), share.num) == (0.2553, 0.3662, 263)


@given(st.integers(0, 200).flatmap(lambda num: st.tuples(st.integers(0, num), st.just(num))))
def test_wilson_holds_its_rate(counts):
    share = stats.interval(*counts)
    assert 0 <= share.low <= share.rate <= share.high <= 1


def test_wilson_refuses_more_passes_than_trials():
    with pytest.raises(stats.StatsError, match="got 3"):
        stats.interval(3, 2)


@pytest.mark.parametrize(("lost", "gained", "num"), [(12, 5, 100), (0, 9, 60), (7, 0, 40), (3, 3, 300)])
def test_paired_bound_solves_the_constrained_likelihood(lost, gained, num):
    """At the bound, the score with the share gained found by brute force equals the normal quantile."""
    bound = paired.paired_drop_bound(lost, gained, num)
    shares = np.linspace(max(1e-9, -bound), (1 - bound) / 2, 400_001)[1:-1]
    both = 1 - 2 * shares - bound
    likelihood = (
        lost * np.log(shares + bound) + gained * np.log(shares) + (num - lost - gained) * np.log(both)
    )
    share = shares[np.argmax(likelihood)]
    score = (lost - gained - num * bound) / math.sqrt(num * (2 * share + bound - bound**2))
    assert score == pytest.approx(-1.6449, abs=2e-3)


def test_paired_bound_without_discordant_pairs_is_not_zero():
    z = 1.6448536
    assert paired.paired_drop_bound(0, 0, 50) == pytest.approx(z * z / (50 + z * z), abs=1e-6)


def test_paired_bound_covers_at_its_margin():
    rng = np.random.default_rng(0)
    draws = rng.multinomial(300, [0.10, 0.05, 0.85], 1500)
    wrongly_safe = np.mean([paired.paired_drop_bound(int(a), int(b), 300) < 0.05 for a, b, _ in draws])
    assert 0.03 < wrongly_safe < 0.066


@pytest.mark.parametrize("num", [1, 40])
def test_paired_bound_is_one_where_every_pair_was_lost(num):
    assert paired.paired_drop_bound(num, 0, num) == 1.0


@given(st.integers(1, 60).flatmap(lambda num: st.tuples(st.integers(0, num), st.just(num))), st.data())
def test_paired_bound_exists_for_all_counts_and_lies_above_the_drop_seen(counts, data):
    lost, num = counts
    gained = data.draw(st.integers(0, num - lost))
    assert (lost - gained) / num <= paired.paired_drop_bound(lost, gained, num) <= 1.0


@pytest.mark.parametrize("counts", [(0, 0, 0), (3, 3, 5), (-1, 0, 5)])
def test_paired_bound_refuses_counts_that_do_not_fit(counts):
    with pytest.raises(stats.StatsError):
        paired.paired_drop_bound(*counts)


def test_paired_power_agrees_with_simulation():
    rng = np.random.default_rng(1)
    draws = rng.multinomial(200, [0.05, 0.05, 0.9], 1500)
    seen = np.mean([paired.paired_drop_bound(int(a), int(b), 200) < 0.05 for a, b, _ in draws])
    assert paired.paired_drop_power(200, 0.05, 0.1) == pytest.approx(seen, abs=0.04)


def test_benjamini_hochberg_matches_hand_and_keeps_order():
    # ranks 1..4: .005*4/1, .01*4/2 -> .02 both; .03*4/3 = .04; .04*4/4 = .04
    assert stats.benjamini_hochberg([0.04, 0.005, 0.03, 0.01]) == pytest.approx([0.04, 0.02, 0.04, 0.02])
    assert stats.benjamini_hochberg([]) == []


@settings(max_examples=60)
@given(st.integers(0, 30), st.integers(1, 30), st.integers(0, 60), st.integers(1, 60))
def test_fisher_matches_scipy(hits, num, other_hits, other_num):
    from scipy.stats import fisher_exact

    hits, other_hits = min(hits, num), min(other_hits, other_num)
    table = [[hits, num - hits], [other_hits, other_num - other_hits]]
    expected = fisher_exact(table, alternative="greater").pvalue
    assert stats.fisher_greater(hits, num, other_hits, other_num) == pytest.approx(expected)


def test_nll_change_is_weighted_by_tokens_and_repeatable():
    before, tokens = [100.0] * 9 + [1000.0], [50] * 9 + [500]
    after = [value * 1.1 for value in before]
    change = paired.nll_change(before, after, tokens)
    assert change.mean == pytest.approx(0.2)
    noisy = [value + (-1) ** i for i, value in enumerate(after)]
    assert paired.nll_change(before, noisy, tokens, seed=4) == paired.nll_change(
        before, noisy, tokens, seed=4
    )


def test_nll_bound_covers_the_true_change():
    rng = np.random.default_rng(2)
    covered = 0
    for repeat in range(250):
        tokens = rng.integers(50, 400, 40)
        change = tokens * rng.normal(0.05, 0.05, 40)
        covered += paired.nll_change([0.0] * 40, change.tolist(), tokens.tolist(), seed=repeat).upper >= 0.05
    assert 0.90 < covered / 250 < 0.99


@pytest.mark.parametrize("after", [[1.0] * 7, [1.0] * 8 + [math.nan]])
def test_nll_change_refuses_too_few_or_broken_values(after):
    with pytest.raises(stats.StatsError):
        paired.nll_change([1.0] * len(after), after, [1] * len(after))


def test_binomial_matches_scipy():
    from scipy.stats import binom

    for num, share in product((0, 1, 37, 600), (0.0, 0.5, 2 / 3, 1.0)):
        assert paired.binomial(num, share) == pytest.approx(binom.pmf(range(num + 1), num, share), abs=1e-12)


def test_cross_takes_the_largest_tail_within_budget():
    mass = paired.binomial(10, 0.5)
    crossing = sequential.cross(mass, 11.5 / 1024)
    assert (crossing.boundary, crossing.spent) == (9, pytest.approx(11 / 1024))
    assert crossing.kept.sum() == pytest.approx(1013 / 1024)
    assert sequential.cross(mass, 0.5 / 1024).boundary is None


def test_spread_is_even_and_complete():
    assert sequential.spread(7.0, 4) == [2, 2, 1, 2]
    assert sequential.spread(7.0, 0) == []
