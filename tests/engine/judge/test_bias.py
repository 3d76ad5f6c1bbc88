"""A judge's bias, recovered from judges whose bias is known."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from engine.judge import bias
from engine.judge.bias import length_bias, position_bias, win_rate_of
from engine.judge.pairwise import Choice, Contest, Preference
from engine.measure.paired import Bounds
from engine.measure.stats import interval
from tests.support.judge_server import asked_twice, better_by_number, biased, preference, serving
from tests.support.simulated_judges import by_chance

FIRST, SECOND, TIE, NONE = Choice
WON, LOST, TIED = (SECOND, FIRST), (FIRST, SECOND), (TIE, TIE)
CHOICES = st.sampled_from(Choice)
PREFERENCES = st.lists(
    st.builds(
        preference,
        CHOICES,
        CHOICES,
        st.tuples(st.integers(0, 50), st.integers(0, 50)),
        st.sampled_from([f"q{number}" for number in range(60)]),
        st.sampled_from(["", "", "s1", "s2"]),
    ),
    max_size=60,
)
NUM = 600
"""Simulations. Of as many intervals at 95 %, 93 of 100 hold the truth with a chance of 99 %."""


def holds(bounds: Bounds | None, truth: float) -> bool:
    return bounds is not None and bounds.low <= truth <= bounds.high


@pytest.mark.parametrize("first", [0.0, 0.15, 0.5])
def test_the_bias_for_the_first_place_is_recovered(first: float) -> None:
    hits = 0
    for found, _ in zip(by_chance(150, better=0.6, to_first=first), range(NUM), strict=False):
        position = position_bias(found)
        assert position is not None
        hits += holds(position.advantage, first)
    assert hits >= 0.93 * NUM
    assert position.to_second == 0 and position.flips.num == 150, "only the first place gains"
    assert position.flips.rate == pytest.approx(position.to_first / 150)
    assert position.flips.rate == pytest.approx(position.advantage.mean)


def test_pairs_of_a_story_that_flip_together_are_no_independent_evidence() -> None:
    choices = [(FIRST, FIRST) if number < 100 else WON for number in range(200)]
    found = position_bias(
        [preference(*each, (10, 10), f"q{number}", f"s{number // 10}") for number, each in enumerate(choices)]
    )
    alone = interval(10, 20)
    assert found is not None and found.flips.low < alone.low and found.flips.high > alone.high


@pytest.mark.slow
@pytest.mark.parametrize("longer", [0.0, 0.3, 0.7])
def test_the_bias_for_the_longer_reply_is_recovered(longer: float) -> None:
    """Length and worth are independent here, so all that goes with length is bias."""
    rounds = zip(by_chance(150, to_longer=longer), range(NUM), strict=False)
    hits = sum(holds(length_bias(found).advantage, longer) for found, _ in rounds)
    assert hits >= 0.93 * NUM


def test_what_is_won_by_length_is_gone_at_equal_length() -> None:
    """Two models alike, of which the new one talks more, before a judge that likes that."""
    hits = raw = 0
    for found, _ in zip(by_chance(200, longer=0.8, to_longer=0.5), range(300), strict=False):
        hits += holds(length_bias(found).at_equal_length, 0.5)
        raw += holds(win_rate_of(found), 0.5)
    assert hits >= 0.93 * 300 and raw <= 0.1 * 300, "without the correction the longer one looks better"


def test_what_is_won_by_worth_stays_at_equal_length() -> None:
    found = next(by_chance(400, better=0.75, longer=0.8, to_longer=0.4))
    at_equal = length_bias(found).at_equal_length
    assert at_equal is not None and at_equal.low > 0.5 and at_equal.mean < win_rate_of(found).mean


@pytest.mark.slow
def test_the_fit_covers_what_it_was_drawn_from() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(NUM):
        lengths = rng.integers(50, 400, size=(200, 2))
        difference = lengths[:, 1] - lengths[:, 0]
        wins = rng.random(200) < expit(0.4 + 0.9 * np.tanh(difference / difference.std()))
        rows = enumerate(zip(wins.tolist(), lengths.tolist(), strict=True))
        found = length_bias(
            [preference(*(WON if won else LOST), tuple(each), f"q{n}") for n, (won, each) in rows]
        )
        hits += holds(found.at_equal_length, float(expit(0.4)))
    assert hits >= 0.93 * NUM


def test_the_fit_is_the_maximum_of_the_penalized_likelihood() -> None:
    rng = np.random.default_rng(3)
    terms = np.column_stack([np.ones(40), np.tanh(rng.normal(size=40))])
    wins = rng.choice([0.0, 0.5, 1.0], size=40, p=[0.2, 0.3, 0.5])

    def loss(at: np.ndarray) -> float:
        share = expit(terms @ at)
        information = terms.T @ ((share * (1 - share))[:, None] * terms)
        fit = wins * np.log(share) + (1 - wins) * np.log(1 - share)
        return -float(fit.sum() + 0.5 * np.log(np.linalg.det(information)))

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12}).x
    assert bias._firth(terms, wins) == pytest.approx(best, abs=1e-5)


def test_a_model_that_wins_everything_has_a_finite_fit() -> None:
    lengths = [(10, 20 + number) if number % 2 else (20 + number, 10) for number in range(40)]
    found = length_bias([preference(*WON, each, f"q{number}") for number, each in enumerate(lengths)])
    assert found.at_equal_length is not None
    assert 0.9 < found.at_equal_length.mean < 1 and found.at_equal_length.low < found.at_equal_length.mean


def test_what_cannot_be_told_is_not_told() -> None:
    assert position_bias([]) is None and position_bias([preference(NONE, FIRST)]) is None
    alike = [preference(*WON, (10, 10), f"q{number}") for number in range(20)]
    assert length_bias(alike) == bias.LengthBias(advantage=None, at_equal_length=None)
    more = [preference(*WON, (10, 11 + number), f"q{number}") for number in range(60)]
    assert length_bias(more).at_equal_length is None, "it always says more, and may have won by that alone"
    few = [preference(*WON, (14, 11 + number), f"q{number}") for number in range(7)]
    assert length_bias(few).at_equal_length is None and length_bias(few).advantage is not None
    told = [preference(*WON, (14, 11 + number), f"q{number}", f"s{number % 7}") for number in range(70)]
    assert length_bias(told).at_equal_length is None, "seven stories are not more than seven pairs"


def test_without_a_verdict_nothing_is_won() -> None:
    found = [preference(*WON, id="a"), preference(*LOST, id="b"), preference(*TIED, id="c")]
    assert win_rate_of(found).mean == 0.5
    assert win_rate_of([*found, preference(NONE, FIRST, id="d")]).mean == pytest.approx(1.5 / 4)


def test_pairs_of_one_story_tell_less_than_independent_ones() -> None:
    sides = [WON, LOST, WON, WON, LOST] * 6
    alone = [preference(*side, id=f"q{number}") for number, side in enumerate(sides)]
    # The same verdicts, each four times over, in stories.
    told = [preference(*side, (1, 1), f"q{n}-{k}", f"s{n}") for n, side in enumerate(sides) for k in range(4)]
    one, many = win_rate_of(alone), win_rate_of(told)
    assert many.mean == pytest.approx(one.mean)
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.05)


@given(PREFERENCES)
def test_every_figure_lies_in_its_interval(found: list[Preference]) -> None:
    position, length = position_bias(found), length_bias(found)
    bounds = [length.advantage, length.at_equal_length, position and position.advantage]
    if found:
        bounds.append(win_rate_of(found))
    for each in bounds:
        assert each is None or each.low <= each.mean <= each.high
    if position:
        assert position.advantage.low >= -1 and position.advantage.high <= 1
        assert position.to_first + position.to_second <= position.flips.num


@given(PREFERENCES)
def test_exchanging_the_models_mirrors_every_figure(found: list[Preference]) -> None:
    mirrored = [
        preference(each.choices[1], each.choices[0], each.lengths[::-1], each.id, each.story)
        for each in found
    ]
    one, other = length_bias(found), length_bias(mirrored)
    if one.at_equal_length and other.at_equal_length:
        assert one.at_equal_length.mean == pytest.approx(1 - other.at_equal_length.mean, abs=1e-6)
        assert one.at_equal_length.low == pytest.approx(1 - other.at_equal_length.high, abs=1e-6)
    assert one.advantage == other.advantage and position_bias(found) == position_bias(mirrored)


@pytest.mark.slow
def test_a_biased_judge_over_http_is_measured_as_it_is(tmp_path: Path) -> None:
    """The whole way: prompts, a server, verdicts, and figures."""
    long = " and more of it"
    pairs = [
        Contest(id=f"q{n}", asked=f"Question {n}", old=f"1{long * (n % 2)}", new=f"2{long * (1 - n % 2)}")
        for n in range(60)
    ]
    says = biased(better_by_number, first=0.4, longer=0.2)
    with serving(says) as server, server.judge(tmp_path / "judge.jsonl", num_parallel=8) as judge:
        found = judge.prefer(pairs)
        assert len(server.requests) == 120
    expected = [asked_twice(says, pair) for pair in pairs]
    assert [each.choices for each in found] == [each.choices for each in expected]
    position = position_bias(found)
    assert position == position_bias(expected) and length_bias(found) == length_bias(expected)
    assert position is not None and position.advantage.low > 0
