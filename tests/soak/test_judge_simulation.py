"""What a judge's figures are worth, by simulation: its biases recovered, its errors corrected, and two equal
models not told apart, whoever judges."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import beta

from engine.gate.compare import Answer
from engine.judge.bias import length_bias, position_bias, win_rate_of
from tests.support.judge_server import Prefers, better_by_number, biased, mistaken
from tests.support.simulated_judges import Models, coin, corrected_win_rate, judge_of, rated_blindly, tried

pytestmark = [pytest.mark.soak, pytest.mark.timeout(6 * 3600)]
NUM = 1000
"""Simulations. Of as many intervals at 95 %, 93 of 100 hold the truth with a chance of over 99 %."""


def seeded(number: int, seed: int) -> np.random.Generator:
    return np.random.default_rng([number, seed])


@pytest.mark.parametrize("first", [0.0, 0.1, 0.3, 0.6])
@pytest.mark.parametrize("better", [0.5, 0.7])
def test_the_bias_for_the_first_place_is_recovered(first: float, better: float) -> None:
    hits = 0
    for seed in range(NUM):
        judge = judge_of(biased(better_by_number, first=first, seed=seed))
        found = position_bias(judge.prefer(Models(better=better).contests(seeded(1, seed), 200)))
        assert found
        hits += found.advantage.low <= first <= found.advantage.high
    print(f"first place preferred with {first}, better in {better:.0%}: recovered in {hits} of {NUM}")
    assert hits >= 0.93 * NUM


@pytest.mark.parametrize("longer", [0.0, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("says_more", [0.0, 0.7, 1.5])
def test_the_bias_for_the_longer_reply_is_recovered_and_taken_away(longer: float, says_more: float) -> None:
    """Both models are equally good, so that half of the replies win if lengths count for nothing."""
    hits = level = raw = told = 0
    for seed in range(NUM):
        judge = judge_of(biased(better_by_number, longer=longer, seed=seed))
        preferences = judge.prefer(Models(says_more=says_more).contests(seeded(2, seed), 200))
        found, rate = length_bias(preferences), win_rate_of(preferences)
        assert found.advantage
        hits += found.advantage.low <= longer <= found.advantage.high
        raw += rate.low <= 0.5 <= rate.high
        if at := found.at_equal_length:
            told += 1
            level += at.low <= 0.5 <= at.high
    print(
        f"longer preferred with {longer}, {np.exp(says_more):.1f} times as long: recovered in {hits} of "
        f"{NUM}; 50 % at equal length in {level} of {told}, without it in {raw} of {NUM}"
    )
    assert hits >= 0.93 * NUM
    assert told >= 0.95 * NUM and level >= 0.93 * told


JUDGES: dict[str, Callable[[int], Prefers]] = {
    "errs in 15 %": lambda seed: mistaken(better_by_number, 0.15, seed),
    "errs in 30 %": lambda seed: mistaken(better_by_number, 0.3, seed),
    "prefers the first with 0.4": lambda seed: biased(better_by_number, first=0.4, seed=seed),
    "prefers the longer with 0.4": lambda seed: biased(better_by_number, longer=0.4, seed=seed),
    "does all of that": lambda seed: biased(
        mistaken(better_by_number, 0.1, seed), first=0.2, longer=0.2, seed=seed
    ),
}


@pytest.mark.parametrize("truth", [0.3, 0.5, 0.65, 0.9])
@pytest.mark.parametrize("name", JUDGES)
def test_the_corrected_win_rate_covers_the_truth(name: str, truth: float) -> None:
    models, hits, known = Models(better=truth, says_more=0.5), 0, 0
    for seed in range(NUM):
        found = corrected_win_rate(seeded(3, seed), JUDGES[name](seed), models, 200, num_labelled=80)
        hits += found.low <= truth <= found.high
        known += found.rate is not None
    print(f"a judge that {name}, truth {truth:.0%}: covered in {hits} of {NUM}, {known} with a rate")
    assert hits >= 0.93 * NUM


NULLS: dict[str, tuple[Models, Callable[[np.random.Generator, int], Prefers]]] = {
    "that is fair": (Models(), lambda rng, seed: better_by_number),
    "that throws a coin": (Models(), lambda rng, seed: coin(rng)),
    "that errs in 30 %": (Models(), lambda rng, seed: JUDGES["errs in 30 %"](seed)),
    "for the first place": (Models(), lambda rng, seed: biased(better_by_number, first=0.5, seed=seed)),
    **{
        f"for the longer reply, with {chance}, {np.exp(more):.1f} times as long": (
            Models(says_more=more),
            lambda rng, seed, chance=chance: biased(better_by_number, longer=chance, seed=seed),
        )
        for more in (0.3, 1.0, 1.5)
        for chance in (0.3, 0.6, 1.0)
    },
}


@pytest.mark.parametrize("name", NULLS)
def test_of_two_equal_models_none_is_accepted_by_a_judge(name: str) -> None:
    models, judge = NULLS[name]
    rngs = ((seed, seeded(4, seed)) for seed in range(NUM))
    found = [tried(rng, judge(rng, seed), models) for seed, rng in rngs]
    superior, accepted = (sum(each) for each in zip(*found, strict=True))
    print(f"a judge {name}: {accepted} of {NUM} accepted, {superior} by the win rate alone")
    assert beta.ppf(0.01, accepted, NUM - accepted + 1) <= 0.05 if accepted else True


@pytest.mark.parametrize(
    "options",
    [{}, {"tied": 0.0}, {"tied": 0.7}, {"left": 0.8}, {"raters": 3}, {"raters": 5, "num": 40, "left": 0.7}],
    ids=str,
)
def test_of_two_equal_models_none_is_accepted_by_people(options: dict[str, float]) -> None:
    rng = seeded(5, 0)
    found = [rated_blindly(rng, **options) for _ in range(4 * NUM)]
    better, worse = found.count(Answer.BETTER), found.count(Answer.WORSE)
    print(f"200 blind comparisons {options}: {better} of {4 * NUM} accepted, {worse} called worse")
    assert beta.ppf(0.01, better, 4 * NUM - better + 1) <= 0.05
