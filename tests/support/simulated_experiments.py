"""Experiments without models: arms, seeds and problems of a world whose truth is known."""

import numpy as np
from scipy.stats import norm

from tune.effects import data_ratio, effect

SHARES = np.array([0.0, 0.125, 0.25, 0.5, 1.0])
TOKENS = 8000 * SHARES


class World:
    """Experiments whose models pass a problem by its difficulty, their arm's gain, and luck of several kinds.

    `sd_seed` moves a whole model, `sd_problem` an arm on one problem whatever the seed, and `sd_rest` one
    model on one problem.
    """

    def __init__(self, seed: int, sd_seed: float, sd_problem: float, sd_rest: float) -> None:
        self.rng = np.random.default_rng(seed)
        self.sds = sd_seed, sd_problem, sd_rest

    def arms(self, num_seeds: int, num_problems: int, gains: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        """Scores of arms by seed, checkpoint and problem; each arm's gains are from 0 to its last."""
        sd_seed, sd_problem, sd_rest = self.sds
        hard, first = self.rng.normal(-0.5, 1, num_problems), self.rng.normal(0, sd_rest, num_problems)
        found = []
        for gain in gains:
            grown = (gain / gain[-1] if gain[-1] else SHARES[: len(gain)])[None, :, None]
            own = self.rng.normal(0, sd_seed, (num_seeds, 1, 1)) + self.rng.normal(
                0, sd_problem, num_problems
            )
            luck = self.rng.normal(0, sd_rest, (num_seeds, 1, num_problems))
            latent = hard + gain[None, :, None] + (own + luck) * grown + first * (1 - grown)
            found.append((latent > 0).astype(float))
        return found

    def mean(self, gain: np.ndarray) -> np.ndarray:
        """The share that an arm passes in truth, at each checkpoint."""
        sd_seed, sd_problem, sd_rest = self.sds
        grown = gain / gain[-1] if gain[-1] else SHARES[: len(gain)]
        own = grown**2 * (sd_seed**2 + sd_problem**2 + sd_rest**2)
        return norm.cdf((-0.5 + gain) / np.sqrt(1 + own + (1 - grown) ** 2 * sd_rest**2))


def rises(rate: float, top: float = 0.8) -> np.ndarray:
    """A learning curve that flattens."""
    return top * (1 - np.exp(-rate * SHARES))


def ratio_in_truth(world: World, treatment: np.ndarray, control: np.ndarray) -> float:
    """The ratio of the true curves, with the straight lines between checkpoints that the estimate draws."""
    found = data_ratio(
        np.tile(world.mean(treatment)[None, :, None], (2, 1, 2)),
        np.tile(world.mean(control)[None, :, None], (2, 1, 2)),
        (TOKENS, TOKENS),
        shares=False,
    )
    assert found.value is not None
    return found.value


def coverage(
    world: World, gain: float, num_seeds: int, num_problems: int, num: int
) -> tuple[float, float, float]:
    """How often the interval over both and that over seeds hold the truth, and the first lies above it."""
    gains = np.array([0.0, gain]), np.array([0.0, 0.0])
    truth = float(world.mean(gains[0])[-1] - world.mean(gains[1])[-1])
    held = by_seeds = above = 0
    for _ in range(num):
        treatment, control = world.arms(num_seeds, num_problems, gains)
        found = effect(treatment[:, -1] - control[:, -1], shares=True)
        held += found.both.low <= truth <= found.both.high
        by_seeds += found.over_seeds.low <= truth <= found.over_seeds.high
        above += found.both.low > truth
        assert found.both.low <= min(found.over_seeds.low, found.over_problems.low)
    return held / num, by_seeds / num, above / num


def ratio_coverage(
    world: World, treatment: np.ndarray, control: np.ndarray, num_seeds: int, num_problems: int, num: int
) -> float:
    """How often the interval of a data ratio, over both, holds the ratio of the true curves."""
    truth, held = ratio_in_truth(world, treatment, control), 0
    for _ in range(num):
        arms = world.arms(num_seeds, num_problems, (treatment, control))
        found = data_ratio(*arms, (TOKENS, TOKENS), shares=True)
        held += found.both.low <= truth * 1.0001 and truth * 0.9999 <= found.both.high
        assert found.value is None or found.both.low <= found.value <= found.both.high
    return held / num
