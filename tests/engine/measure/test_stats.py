"""Statistics against what they must equal: published values, brute force, and coverage by simulation."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from scipy.stats import t as student

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


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_interval_of_a_mean_covers_it_and_is_that_of_the_bound() -> None:
    rng, covered = np.random.default_rng(12), 0
    for seed in range(300):
        changes = rng.exponential(2.0, size=40) - 1.5  # skewed, of mean 0.5
        bounds = paired.mean_change(changes.tolist(), [1.0] * 40, 0.05, seed=seed)
        covered += bounds.low <= 0.5 <= bounds.high
    assert covered / 300 > 0.92
    one_sided = paired.nll_change([0.0] * 40, changes.tolist(), [1] * 40, level=0.025, seed=seed)
    assert (bounds.mean, bounds.high) == (one_sided.mean, one_sided.upper)


def test_an_interval_of_many_values_is_the_normal_one() -> None:
    rng = np.random.default_rng(13)
    changes, sizes = rng.normal(0.3, 1.0, size=4000), rng.integers(1, 9, size=4000).astype(float)
    few = paired.mean_change(changes[:1000].tolist(), sizes[:1000].tolist(), 0.05)
    many = paired.mean_change(changes.tolist(), sizes.tolist(), 0.05)
    assert many.mean == pytest.approx(changes.sum() / sizes.sum())
    assert (many.high - many.low) / (few.high - few.low) == pytest.approx(0.5, abs=0.05)
    with pytest.raises(stats.StatsError, match="at least 8 values, got 7"):
        paired.mean_change([1.0] * 7, [1.0] * 7, 0.05)


def test_a_bound_keeps_its_level_where_the_resamples_cannot_tell() -> None:
    changes = np.random.default_rng(15).normal(size=100)
    error = changes.std(ddof=1) / 10
    for tail in (1e-4, 1e-6, 5e-13):
        bounds = paired.mean_change(changes.tolist(), [1.0] * 100, 2 * tail)
        for half in (bounds.high - bounds.mean, bounds.mean - bounds.low):
            assert half / error > 0.98 * student.isf(tail, 99)


@pytest.mark.parametrize("num", [200, 2000])
def test_an_interval_does_not_depend_on_how_large_the_mean_is(num: int) -> None:
    changes = np.random.default_rng(16).normal(size=num)
    near, far = (paired.mean_change((changes + at).tolist(), [1.0] * num, 0.05) for at in (0.0, 1e9))
    assert [each - 1e9 for each in far] == pytest.approx(list(near), abs=1e-5)
    equal = paired.mean_change([0.1] * num, [1.0] * num, 0.05)
    assert equal.low == equal.mean == equal.high


def test_the_sign_test_is_exact_for_many_pairs_too() -> None:
    for wins, losses in ((0, 0), (0, 7), (7, 0), (60, 41), (4000, 3800)):
        exact = binomtest(wins, wins + losses, alternative="greater").pvalue if wins + losses else 1.0
        assert stats.sign_test(wins, losses) == pytest.approx(exact, rel=1e-10)


def test_items_of_a_cluster_that_go_together_count_as_fewer() -> None:
    alike = [1.0] * 5 + [-1.0] * 5 + [0.0] * 10
    clusters = [str(at // 5) for at in range(20)]
    assert paired.design_effect(alike, [str(at) for at in range(20)]) == 1.0
    assert paired.design_effect(alike, clusters) == pytest.approx(5 * 4 / 3 * 19 / 20)
    assert paired.design_effect([0.0] * 20, clusters) == 5.0  # nothing is seen of how they go together
    assert paired.design_effect([1.0, -1.0] * 10, [str(at // 2) for at in range(20)]) == 1.0
    assert paired.design_effect(alike, ["one"] * 20) == 20.0
    assert paired.by_cluster([1.0, 2.0, 3.0], ["a", "b", "a"]) == [4.0, 2.0]


def test_the_share_that_is_detectable_is_detected_as_often_as_said() -> None:
    rng = np.random.default_rng(14)
    share = sequential.detectable_share(0.025, 300, 0.5)
    assert share is not None
    shown = 0
    for _ in range(2000):
        won, lost, _ = rng.multinomial(300, [0.5 * share, 0.5 * (1 - share), 0.5]).tolist()
        shown += stats.sign_test(won, lost) <= 0.025
    assert shown / 2000 == pytest.approx(0.8, abs=0.03)
    assert sequential.detectable_share(0.025, 5, 1.0) is None
    assert sequential.detectable_share(0.025, 300, 0.0) is None


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
