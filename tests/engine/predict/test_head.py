"""The head learns what is planted in hidden states, and what it is measured on it has not seen."""

import numpy as np
import pytest

from engine.predict.calibration import advantage, calibration_of
from engine.predict.head import Material, by_logprob, by_rule, cross_fitted, curve, logistic, train_head


def planted(num_groups: int = 150, each: int = 8, seed: int = 0, strength: float = 2.0) -> Material:
    """Steps whose hidden state tells most of their chance, the rule some of it, and the log-probability
    little."""
    rng = np.random.default_rng(seed)
    num = num_groups * each
    hidden = rng.normal(size=(num, 24)).astype(np.float32)
    rules = rng.choice(["mp", "mt", "ui"], size=num)
    logits = strength * hidden[:, 0] + strength * hidden[:, 1] + (rules == "mp")
    valid = (rng.random(num) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    return Material(
        hidden=3 * hidden + 5,
        logprob=(0.2 * valid + rng.normal(size=num)).astype(np.float32),
        rules=rules,
        groups=np.array([f"p{i // each}" for i in range(num)]),
        valid=valid,
    )


@pytest.mark.slow
def test_it_finds_what_is_planted_and_beats_both_baselines() -> None:
    material = planted()
    groups = material.groups.tolist()
    foreseen = [cross_fitted(material, each, 5, 0) for each in (train_head, by_logprob, by_rule)]
    own, *others = foreseen
    assert calibration_of("own", own, material.valid, groups).ece.value < 0.05
    for other in others:
        assert advantage(own, other, material.valid, groups).low > 0.03


def test_it_is_shown_to_beat_nothing_where_there_is_nothing_to_find() -> None:
    shown = 0
    for seed in range(3):
        material = planted(num_groups=40, seed=seed, strength=0.0)
        groups = material.groups.tolist()
        own, rule = (cross_fitted(material, each, 5, 0) for each in (train_head, by_rule))
        shown += advantage(own, rule, material.valid, groups).low > 0
        assert calibration_of("own", own, material.valid, groups).ece.value < 0.15
    assert shown == 0


def test_no_problem_is_foreseen_by_what_has_learnt_from_it() -> None:
    material = planted(num_groups=30)
    learnt: list[set[str]] = []

    def spy(steps: Material, seed: int):
        learnt.append(set(steps.groups.tolist()))

        def predict(asked: Material) -> np.ndarray:
            assert not learnt[-1] & set(asked.groups.tolist())
            return np.full(len(asked.valid), 0.5)

        return predict

    assert (cross_fitted(material, spy, 5, 0) == 0.5).all()
    assert len(learnt) == 5 and set.union(*learnt) == set(material.groups.tolist())


def test_what_is_the_same_for_all_steps_of_a_problem_is_no_leak() -> None:
    """A state that names the problem says nothing about another one: labels are not to be remembered."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 10)
    label = rng.random(60) < 0.5
    material = Material(
        hidden=np.eye(60, dtype=np.float32)[groups],
        logprob=np.zeros(600, dtype=np.float32),
        rules=np.array(["mp"] * 600),
        groups=np.array([f"p{each}" for each in groups]),
        valid=label[groups].astype(np.float32),
    )
    own, rule = (cross_fitted(material, each, 5, 0) for each in (train_head, by_rule))
    assert advantage(own, rule, material.valid, material.groups.tolist()).low <= 0


def test_the_same_steps_and_seed_make_the_same_head() -> None:
    material = planted(num_groups=20)
    head, again, other = (train_head(material, seed) for seed in (0, 0, 1))
    assert (again(material) == head(material)).all() and again.rules == head.rules == ("mp", "mt", "ui")
    assert (other(material) != head(material)).any()


def test_a_rule_that_was_never_seen_is_no_error() -> None:
    material = planted(num_groups=20)
    head, rule = train_head(material, 0), by_rule(material, 0)
    other = material._replace(rules=np.array(["a rule with a long name"] * len(material.valid)))
    assert np.isfinite(head(other)).all()
    assert rule(other) == pytest.approx(material.valid.mean())


def test_a_logistic_curve_is_found_also_where_a_score_separates() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(20_000, 2)) * [1.0, 30.0] + [0.0, 100.0]
    valid = (rng.random(20_000) < 1 / (1 + np.exp(-(2 * scores[:, 0] - 1)))).astype(np.float32)
    weights = logistic(scores, valid)
    assert weights[:2] == pytest.approx((2, 0), abs=0.1) and weights @ [0, 100, 1] == pytest.approx(
        -1, abs=0.1
    )
    slope, _ = logistic(np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert 0 < slope < 10
    weights = logistic(np.ones((10, 1)), np.array([0.0, 1.0] * 5))
    assert curve(weights, np.ones((1, 1))) == pytest.approx(0.5)
