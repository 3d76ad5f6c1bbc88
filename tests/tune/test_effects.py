"""Effects and data ratios of simulated experiments, whose truth is known."""

import math

import numpy as np
import pytest

from tests.support.simulated_experiments import (
    SHARES,
    TOKENS,
    World,
    coverage,
    ratio_coverage,
    ratio_in_truth,
    rises,
)
from tune.effects import Conclusion, conclude, data_ratio, effect


@pytest.mark.parametrize(
    ("num_seeds", "num_problems", "gain", "sds"),
    [
        (3, 60, 0.0, (0.1, 0.5, 0.5)),
        (5, 100, 0.5, (0.1, 0.5, 0.5)),
        (5, 100, 0.3, (0.1, 1.0, 0.2)),
        (10, 60, 0.5, (0.2, 0.2, 0.3)),
        (5, 60, 0.0, (0.02, 0.02, 0.1)),
    ],
)
def test_intervals_hold_the_difference_of_other_seeds_on_other_problems(
    num_seeds: int, num_problems: int, gain: float, sds: tuple[float, float, float]
) -> None:
    held, _, above = coverage(World(1, *sds), gain, num_seeds, num_problems, 300)
    assert held >= 0.92 and above <= 0.05


def test_over_seeds_alone_the_same_problems_are_taken_for_all() -> None:
    """Why the claim is not made from the spread of seeds: it holds the truth of other problems too rarely."""
    held, by_seeds, _ = coverage(World(2, 0.02, 1.0, 0.1), 0.3, 10, 60, 200)
    assert by_seeds < 0.8 and held >= 0.9


def test_an_effect_counts_pairs_and_needs_two_of_a_kind() -> None:
    found = effect([[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, 0.0]], shares=True)
    assert (found.mean, found.won, found.lost) == (0.25, 3, 1)
    assert (found.num_seeds, found.num_problems) == (2, 4)
    one = effect([[0.0, 1.0, 1.0, 0.0]], shares=True)
    assert one.both.high == one.over_seeds.high == math.inf and one.over_problems.high < 2
    assert effect([[1.0], [0.0]], shares=True).both.low == -math.inf


def test_seeds_that_agree_and_a_hundred_problems_give_students_interval() -> None:
    """Without differences between problems it is the textbook's t interval over seeds."""
    rows = np.repeat([[0.02], [0.05], [0.02], [0.03], [0.03]], 100, axis=1)
    found = effect(rows, shares=False)
    half = 2.776445 * np.std([0.02, 0.05, 0.02, 0.03, 0.03], ddof=1) / math.sqrt(5)
    assert found.over_seeds.low == pytest.approx(0.03 - half)
    assert found.both == found.over_seeds and found.over_problems.low == pytest.approx(0.03)


def test_a_few_problems_without_any_difference_are_no_certainty() -> None:
    few, many = (effect(np.zeros((4, num)), shares=True).both for num in (6, 600))
    assert few.high > 0.2 and 0 < many.high < 0.005
    assert effect(np.zeros((4, 6)), shares=False).both.high == 0


@pytest.mark.parametrize(
    ("treatment", "control"),
    [(rises(4), rises(1)), (rises(1.5), rises(1.5)), (rises(1), rises(4)), (rises(6, 0.6), rises(2, 0.6))],
)
def test_a_data_ratio_holds_that_of_the_true_curves(treatment: np.ndarray, control: np.ndarray) -> None:
    assert ratio_coverage(World(3, 0.08, 0.3, 0.3), treatment, control, 5, 100, 60) >= 0.88


def test_curves_without_luck_give_their_ratio_exactly() -> None:
    world = World(0, 0.0, 0.0, 0.0)
    straight = SHARES * 0.2
    twice = np.tile((2 * straight)[None, :, None], (3, 1, 4))
    once = np.tile(straight[None, :, None], (3, 1, 4))
    for pair, ratio in (((twice, once), 2.0), ((once, twice), 0.5), ((once, once), 1.0)):
        found = data_ratio(*pair, (TOKENS, TOKENS), shares=False)
        assert found.value == pytest.approx(ratio) == pytest.approx(found.both.low, rel=0.03)
    half = data_ratio(twice, once, (TOKENS / 2, TOKENS), shares=False)
    assert half.value == pytest.approx(4.0), "tokens are each arm's own"
    assert ratio_in_truth(world, rises(4), rises(1)) > 2


def test_where_the_control_gains_nothing_there_is_no_bound() -> None:
    world = World(4, 0.08, 0.2, 0.3)
    treatment, control = world.arms(5, 100, (rises(2), 0.0 * SHARES))
    found = data_ratio(treatment, control, (TOKENS, TOKENS), shares=True)
    assert found.both.high == math.inf and found.both.low > 1
    flat = np.zeros((3, 5, 10))
    nothing = data_ratio(flat, flat, (TOKENS, TOKENS), shares=True)
    assert nothing.value is None and (nothing.both.low, nothing.both.high) == (0, math.inf)
    loses = data_ratio(np.linspace(1, 0.5, 5)[None, :, None] + flat, flat + 1, (TOKENS, TOKENS), shares=False)
    assert loses.value is None


def test_a_ratio_lies_above_one_exactly_where_the_difference_lies_above_zero() -> None:
    world, both = World(5, 0.1, 0.3, 0.3), set()
    for gain in np.linspace(0, 1.2, 40):
        treatment, control = world.arms(4, 60, (rises(2, 0.4 + gain), rises(2, 0.6)))
        ratio = data_ratio(treatment, control, (TOKENS, TOKENS), shares=True)
        difference = effect(treatment[:, -1] - control[:, -1], shares=True)
        assert (ratio.both.low > 1) == (difference.both.low > 0)
        both.add(difference.both.low > 0)
    assert both == {True, False}


def test_one_seed_gives_a_ratio_without_bounds() -> None:
    treatment, control = World(6, 0.1, 0.2, 0.2).arms(1, 80, (rises(4), rises(1)))
    found = data_ratio(treatment, control, (TOKENS, TOKENS), shares=True)
    assert found.value and found.value > 1 and (found.both.low, found.both.high) == (0, math.inf)


def test_conclusions() -> None:
    rng = np.random.default_rng(7)
    clear = (rng.random((5, 200)) < 0.3).astype(float)
    assert conclude(clear, matters=0.03, shares=True) == Conclusion("supported")
    assert conclude(-clear, matters=0.03, shares=True) == Conclusion("not supported")
    assert conclude(np.zeros((5, 300)), matters=0.03, shares=True) == Conclusion("not supported")
    assert conclude(clear[:1], matters=0.03, shares=True) == Conclusion("undecided")


def test_what_is_lacking_would_decide_about_as_often_as_it_should() -> None:
    """With as many seeds as named, at least half of the same experiments are decided."""
    gains, decided, asked = (np.array([0.0, 0.45]), np.array([0.0, 0.0])), 0, 0
    for number in range(60):
        world = World(100 + number, 0.25, 0.1, 0.3)
        treatment, control = world.arms(3, 300, gains)
        found = conclude(treatment[:, -1] - control[:, -1], matters=0.03, shares=True)
        if found.verdict != "undecided" or not found.more_seeds:
            continue
        asked += 1
        num_seeds, num_problems = 3 + found.more_seeds, 300 + found.more_problems
        treatment, control = world.arms(num_seeds, num_problems, gains)
        again = conclude(treatment[:, -1] - control[:, -1], matters=0.03, shares=True)
        decided += again.verdict != "undecided"
    assert asked >= 10 and decided >= 0.5 * asked


def test_too_few_problems_are_not_made_up_for_by_seeds() -> None:
    """Five seeds agree about every problem, so another seed would tell nothing."""
    same = np.tile([[1.0] * 5 + [-1.0] * 3 + [0.0] * 16], (5, 1))
    found = conclude(same, matters=0.03, shares=True)
    assert found.verdict == "undecided" and found.more_seeds == 0 and found.more_problems >= 24
