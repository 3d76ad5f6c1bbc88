"""Brier score and calibration error on chances whose truth is known."""

import numpy as np
import pytest

from engine.predict.calibration import advantage, calibration_of, reliability

NUM, EACH = 400, 10


def drawn(sharpen: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Chances that are right where `sharpen` is 1, overconfident where it is more, and their outcomes."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=NUM * EACH)
    valid = (rng.random(NUM * EACH) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    return 1 / (1 + np.exp(-sharpen * logits)), valid, [f"p{i // EACH}" for i in range(NUM * EACH)]


def test_right_chances_have_next_to_no_error_and_overconfident_ones_have() -> None:
    right = calibration_of("right", *drawn(1.0))
    bold = calibration_of("bold", *drawn(4.0))
    assert right.ece.value < 0.025 and right.ece.low < 0.01
    assert bold.ece.value > 0.15 and bold.ece.low > 0.1
    assert bold.brier.value > right.brier.value


def test_figures_by_hand() -> None:
    chances = np.array([0.1] * 10 + [0.9] * 10)
    valid = np.array([1.0] * 2 + [0.0] * 8 + [1.0] * 9 + [0.0])
    found = calibration_of("x", chances, valid, [str(i) for i in range(20)])
    assert found.brier.value == pytest.approx((2 * 0.81 + 8 * 0.01 + 9 * 0.01 + 0.81) / 20)
    assert found.ece.value == pytest.approx((10 * 0.1 + 10 * 0.0) / 20)
    assert [(each.num_valid, each.num) for each in found.bins] == [(2, 10), (9, 10)]


def test_the_last_bin_holds_certainty() -> None:
    bins = reliability(np.array([0.0, 0.05, 0.95, 1.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert [(each.num_valid, each.num) for each in bins] == [(0, 2), (2, 2)]
    assert bins[-1].predicted == pytest.approx(0.975)


@pytest.mark.slow
def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """The true error of chances that are sharpened, from very many steps; 60 draws of 60 problems."""
    rng = np.random.default_rng(1)
    logits = rng.normal(size=400_000)
    chances, truth = 1 / (1 + np.exp(-3 * logits)), 1 / (1 + np.exp(-logits))
    bins = np.minimum((chances * 10).astype(int), 9)
    true_ece = sum(abs((chances - truth)[bins == b].sum()) for b in range(10)) / len(logits)
    true_brier = float(np.mean((chances - truth) ** 2 + truth * (1 - truth)))
    hits = {"ece": 0, "brier": 0}
    for seed in range(60):
        own, valid, groups = (each[: 60 * EACH] for each in drawn(3.0, seed))
        found = calibration_of("x", own, valid, groups)
        hits["ece"] += found.ece.low <= true_ece <= found.ece.high
        hits["brier"] += found.brier.low <= true_brier <= found.brier.high
    assert min(hits.values()) >= 51, hits


def test_steps_of_one_problem_count_as_the_one_thing_they_are() -> None:
    rng = np.random.default_rng(0)
    label = (rng.random(40) < 0.5).astype(np.float32)
    valid, chances = np.repeat(label, 25), np.full(1000, 0.5)
    together = calibration_of("x", chances + 0.1, valid, [f"p{i // 25}" for i in range(1000)]).brier
    apart = calibration_of("x", chances + 0.1, valid, [f"s{i}" for i in range(1000)]).brier
    assert together.high - together.low > 3 * (apart.high - apart.low)


def test_the_advantage_is_paired() -> None:
    chances, valid, groups = drawn(1.0)
    noise = np.clip(chances + np.random.default_rng(2).normal(0, 0.05, len(chances)), 0, 1)
    found = advantage(chances, noise, valid, groups)
    assert found.value == pytest.approx(0.0025, abs=0.0008) and found.low > 0
    assert advantage(chances, chances, valid, groups).low == 0
