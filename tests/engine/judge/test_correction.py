"""The win rate without a judge's errors: what it covers, and when nothing is known."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.judge.correction import Tally, corrected, tally_of
from engine.judge.pairwise import Choice
from tests.support.judge_server import preference

FIRST, SECOND, TIE, NONE = Choice
WON, LOST, TIED = (SECOND, FIRST), (FIRST, SECOND), (TIE, TIE)
NUM = 1000
"""Simulations."""
TALLIES = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)).map(
    lambda counts: Tally(counts[0], counts[1], sum(counts))
)


def drawn(rng: np.random.Generator, num: int, hit: float, tied: float = 0.0) -> Tally:
    """Pairs of which a judge calls a share `tied`, and gives a share `hit` of the others to the new model."""
    won, even, _ = rng.multinomial(num, [(1 - tied) * hit, tied, (1 - tied) * (1 - hit)])
    return Tally(int(won), int(even), num)


@pytest.mark.parametrize(
    ("truth", "sensitivity", "specificity", "num", "labelled"),
    [
        (0.5, 0.85, 0.85, 200, 60),
        (0.5, 0.9, 0.6, 200, 60),
        (0.65, 0.8, 0.75, 200, 40),
        (0.2, 0.95, 0.8, 100, 100),
        (0.9, 0.7, 0.9, 400, 30),
        (1.0, 0.9, 0.9, 200, 60),
        (0.0, 0.8, 0.95, 200, 200),
        (0.5, 0.6, 0.6, 200, 60),
        (0.7, 0.5, 0.5, 200, 60),
    ],
)
def test_the_interval_covers_the_truth(
    truth: float, sensitivity: float, specificity: float, num: int, labelled: int
) -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(NUM):
        share = truth * sensitivity + (1 - truth) * (1 - specificity)
        found = corrected(
            drawn(rng, num, share),
            better=drawn(rng, labelled // 2, sensitivity),
            worse=drawn(rng, labelled - labelled // 2, 1 - specificity),
        )
        hits += found.low <= truth <= found.high
    assert hits >= 0.93 * NUM


def test_it_covers_the_truth_where_the_judge_calls_ties() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(NUM):
        is_better = rng.binomial(200, 0.6)
        seen = [drawn(rng, is_better, 0.9, 0.2), drawn(rng, 200 - is_better, 0.15, 0.3)]
        judged = Tally(*(sum(parts) for parts in zip(*seen, strict=True)))
        found = corrected(judged, better=drawn(rng, 40, 0.9, 0.2), worse=drawn(rng, 40, 0.15, 0.3))
        hits += found.low <= 0.6 <= found.high
    assert hits >= 0.93 * NUM


def test_what_is_judged_alone_would_be_wrong() -> None:
    """A judge that misses a fifth of the wins makes a true 70 % look like 61 %, far outside it."""
    judged = Tally(round(10_000 * (0.7 * 0.8 + 0.3 * 0.15)), 0, 10_000)
    found = corrected(judged, better=Tally(800, 0, 1000), worse=Tally(150, 0, 1000))
    assert judged.rate == pytest.approx(0.605)
    assert found.rate == pytest.approx(0.7) and 0.65 < found.low < 0.7 < found.high < 0.75
    assert (found.sensitivity, found.specificity) == (0.8, 0.85)


def test_both_uncertainties_widen_the_interval() -> None:
    def width(num: float, labelled: float) -> float:
        found = corrected(
            Tally(0.6 * num, 0, num),
            better=Tally(0.9 * labelled, 0, labelled),
            worse=Tally(0.1 * labelled, 0, labelled),
        )
        return found.high - found.low

    assert width(200, 1e6) < width(200, 200) < width(200, 50)
    assert width(1e6, 50) < width(1000, 50) < width(200, 50)
    assert width(1e6, 1e6) < 0.01


def test_a_judge_without_errors_is_left_as_it_is() -> None:
    found = corrected(Tally(60, 0, 100), better=Tally(10**6, 0, 10**6), worse=Tally(0, 0, 10**6))
    z = 1.959964
    # With known errors it is the score interval, a little wider for the counts that are added.
    middle = (60 + z * z / 2) / (100 + z * z)
    half = z * math.sqrt(middle * (1 - middle) / (100 + z * z))
    assert found.rate == pytest.approx(0.6, abs=1e-4)
    assert (found.low, found.high) == (
        pytest.approx(middle - half, abs=1e-3),
        pytest.approx(middle + half, abs=1e-3),
    )


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (Tally(25, 0, 50), Tally(25, 0, 50)),
        (Tally(0, 50, 50), Tally(0, 50, 50)),
        (Tally(30, 0, 50), Tally(25, 0, 50)),
        (Tally(5, 0, 50), Tally(45, 0, 50)),
        (Tally(0, 0, 0), Tally(0, 0, 0)),
        (Tally(20, 0, 20), Tally(0, 0, 0)),
        (Tally(1, 0, 1), Tally(0, 0, 1)),
    ],
)
def test_a_judge_that_may_be_guessing_tells_nothing(better: Tally, worse: Tally) -> None:
    found = corrected(Tally(150, 0, 200), better=better, worse=worse)
    assert (found.rate, found.low, found.high) == (None, 0.0, 1.0)


def test_errors_that_cannot_explain_what_was_judged_tell_nothing() -> None:
    """It gave 95 % to the new model, and finds a better one in 60 % of the pairs."""
    found = corrected(Tally(950, 0, 1000), better=Tally(600, 0, 1000), worse=Tally(100, 0, 1000))
    assert (found.rate, found.low, found.high) == (None, 0.0, 1.0)


@given(TALLIES, TALLIES, TALLIES)
def test_the_rate_lies_in_its_interval(judged: Tally, better: Tally, worse: Tally) -> None:
    assume(judged.num)
    found = corrected(judged, better=better, worse=worse)
    assert 0 <= found.low <= found.high <= 1
    assert found.rate is None or found.low <= found.rate <= found.high
    assert (found.sensitivity is None) == (not better.num)


@given(TALLIES, TALLIES, TALLIES)
def test_exchanging_the_models_mirrors_it(judged: Tally, better: Tally, worse: Tally) -> None:
    assume(judged.num)

    def mirrored(tally: Tally) -> Tally:
        return Tally(tally.num - tally.won - tally.tied, tally.tied, tally.num)

    one = corrected(judged, better=better, worse=worse)
    other = corrected(mirrored(judged), better=mirrored(worse), worse=mirrored(better))
    assert one.low == pytest.approx(1 - other.high, abs=1e-6)
    assert one.high == pytest.approx(1 - other.low, abs=1e-6)
    assert one.rate == (None if other.rate is None else pytest.approx(1 - other.rate, abs=1e-6))


def test_pairs_without_a_verdict_are_lost_and_stories_count_as_what_they_tell() -> None:
    found = [preference(*side, id=f"q{n}") for n, side in enumerate([WON, WON, LOST, TIED, (NONE, FIRST)])]
    assert tally_of(found) == (2, 1, 5) and tally_of(found).rate == 0.5
    told = [
        preference(*(WON if n % 2 else LOST), (1, 1), f"q{n}-{k}", f"s{n}")
        for n in range(30)
        for k in range(4)
    ]
    assert tally_of(told).num == pytest.approx(30, rel=0.05) and tally_of(told).rate == pytest.approx(0.5)
    assert tally_of([]) == (0, 0, 0)
