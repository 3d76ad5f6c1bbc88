"""Judges whose errors and biases are known, through prompts, verdicts and the gate: few of many simulations.

`tests/soak/test_judge_simulation.py` has all of them.
"""

import numpy as np
import pytest
from scipy.stats import beta

from engine.gate.compare import Answer
from engine.judge.bias import length_bias, position_bias
from tests.support.judge_server import better_by_number, biased, mistaken
from tests.support.simulated_judges import Models, coin, corrected_win_rate, judge_of, rated_blindly, tried

NUM = 30


@pytest.mark.slow
def test_biases_are_recovered_and_the_win_rate_is_corrected() -> None:
    places = lengths = truths = 0
    for seed in range(NUM):
        rng = np.random.default_rng([1, seed])
        judge = judge_of(biased(better_by_number, first=0.3, longer=0.2, seed=seed))
        found = judge.prefer(Models(better=0.6).contests(rng, 200))
        position, length = position_bias(found), length_bias(found)
        assert position and length.advantage
        places += position.advantage.low <= 0.3 <= position.advantage.high
        lengths += length.advantage.low <= 0.2 <= length.advantage.high
        corrected = corrected_win_rate(
            rng, mistaken(better_by_number, 0.2, seed), Models(better=0.6), 200, num_labelled=60
        )
        truths += corrected.low <= 0.6 <= corrected.high
    assert min(places, lengths, truths) >= 0.85 * NUM


@pytest.mark.slow
@pytest.mark.parametrize("longer", [0.6, 1.0])
def test_an_equal_model_that_says_more_is_not_accepted_by_a_judge_that_likes_that(longer: float) -> None:
    found = [
        tried(
            np.random.default_rng([2, seed]),
            biased(better_by_number, longer=longer, seed=seed),
            Models(says_more=1.0),
        )
        for seed in range(NUM)
    ]
    assert sum(each.is_superior for each in found) > 0.9 * NUM, (
        "its win rate alone would have had it accepted"
    )
    assert sum(each.is_accepted for each in found) <= 0.1 * NUM


def test_a_better_model_is_accepted() -> None:
    found = [
        tried(np.random.default_rng([3, seed]), mistaken(better_by_number, 0.1, seed), Models(better=0.7), 60)
        for seed in range(10)
    ]
    assert sum(each.is_accepted for each in found) >= 8


@pytest.mark.slow
def test_equal_models_are_rarely_accepted_by_a_judge_or_by_people() -> None:
    by_judge = sum(
        tried(rng, coin(rng), Models()).is_accepted
        for rng in (np.random.default_rng([4, seed]) for seed in range(NUM))
    )
    rng = np.random.default_rng(5)
    num = 200
    by_people = [rated_blindly(rng, left=0.6) for _ in range(num)].count(Answer.BETTER)
    by_several = [rated_blindly(rng, raters=3) for _ in range(NUM)].count(Answer.BETTER)
    for accepted, tries in ((by_judge, NUM), (by_people, num), (by_several, NUM)):
        bound = beta.ppf(0.01, accepted, tries - accepted + 1) if accepted else 0.0
        assert bound <= 0.05, (accepted, tries)
