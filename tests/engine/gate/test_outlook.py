"""Campaigns by simulation, in a small part; whole in `tests/soak/test_pawls_simulation.py`."""

from pathlib import Path

import numpy as np
import pytest

from configs.schema import Gate
from engine.gate.outlook import MIXTURES, expected
from tests.support.simulated_pawls import play_many

GATE = Gate()


def test_levels_and_pointers_are_those_that_a_registry_keeps(tmp_path: Path) -> None:
    with_registry = play_many("two pawls", "even", 6, GATE, rounds=10, planned=2, home=tmp_path)
    assert np.array_equal(with_registry, play_many("two pawls", "even", 6, GATE, rounds=10, planned=2))
    assert with_registry[:, 2].sum() > 0, "nothing was proven"


def test_what_looks_better_is_carried_and_no_null_is_claimed() -> None:
    nulls = play_many("two pawls", "nulls", 40, GATE)
    assert nulls[:, 3].sum() <= 4 and np.all(nulls[:, 0] == 0.5)
    even = play_many("two pawls", "even", 25, GATE)
    one = play_many("one pawl", "even", 25, GATE, planned=20)
    champion = even[:, 0].mean()
    assert champion > one[:, 0].mean() + 0.03, "two pawls end well above one"
    assert even[:, 4].mean() < 600, "and use no more problems"


@pytest.mark.parametrize("rule", ["one pawl", "two pawls"])
def test_an_outlook_is_the_same_twice_and_stands_beside_keeping_whatever_scores_higher(rule) -> None:
    outlook = expected(GATE, 3, 1, rule, MIXTURES["even"], num=20)
    assert outlook == expected(GATE, 3, 1, rule, MIXTURES["even"], num=20)
    assert 0.5 <= outlook.champion <= outlook.if_higher + 0.02
    assert (outlook.working > outlook.champion) is (rule == "two pawls")
