"""Two pawls pay and keep their word, by simulation on the gate's code and a real registry."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta

from configs.schema import Gate
from tests.support.simulated_pawls import play_many

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3 * 3600)]
GATE = Gate()


@pytest.mark.parametrize("mixture", ["even", "good", "harsh", "small"])
def test_a_campaign_ends_about_as_well_as_one_that_keeps_whatever_scores_higher(
    mixture: str, tmp_path: Path
) -> None:
    two = play_many("two pawls", mixture, 1000, GATE, home=tmp_path)
    a_round = two[:, 4].mean()
    as_many = GATE.model_copy(update={"looks": 1, "look_size": round(a_round)})
    higher = play_many("keep if higher", mixture, 1000, as_many)
    one = play_many("one pawl", mixture, 1000, GATE, planned=20)
    print(
        f"{mixture}: champion {two[:, 0].mean():.1%} (working model {two[:, 1].mean():.1%}), "
        f"{a_round:.0f} problems a round; keep if higher {higher[:, 0].mean():.1%}; one pawl "
        f"{one[:, 0].mean():.1%}, {one[:, 4].mean():.0f} problems; campaigns with a false claim "
        f"{np.mean(two[:, 3] > 0):.2%}, {np.mean(higher[:, 3] > 0):.0%}, {np.mean(one[:, 3] > 0):.2%}"
    )
    assert two[:, 0].mean() >= higher[:, 0].mean() - 0.015
    assert two[:, 0].mean() > one[:, 0].mean()


@pytest.mark.parametrize("adds_up", [False, True])
@pytest.mark.parametrize("mixture", ["nulls", "small losses"])
def test_of_nothing_better_hardly_anything_is_claimed(mixture: str, adds_up: bool) -> None:
    num = 2000
    rows = play_many("two pawls", mixture, num, GATE, adds_up=adds_up)
    false = int(np.sum(rows[:, 3] > 0))
    bound = beta.ppf(0.99, false + 1, num - false)
    print(
        f"{mixture}{', churn adds up' if adds_up else ''}: {false} of {num} campaigns with a false claim "
        f"(exact 99 % upper bound {bound:.2%}); working model {rows[:, 1].mean():.2%} at the end, lowest "
        f"{rows[:, 6].mean():.2%} on average, {rows[:, 6].min():.2%} at worst; "
        f"given up {rows[:, 7].mean():.2f} times"
    )
    assert bound <= 0.05
