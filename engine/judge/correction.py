"""The win rate that a judge without errors would find, from its errors on pairs whose better side is known.

    corrected(Tally(120, 20, 200), better=Tally(45, 5, 60), worse=Tally(6, 4, 60))

A judge that sees the better reply in 85 of 100 pairs makes any difference smaller than it is; one that errs
more often for one side invents one. The interval holds both uncertainties, that of the pairs judged and that
of the errors, so it is wide where few pairs are labelled.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.judge.bias import sign_of
from engine.judge.pairwise import Preference
from engine.measure.paired import design_effect
from engine.measure.stats import normal_quantile


class Tally(NamedTuple):
    """How a judge judged some pairs: those given to the new model, those called a tie, and all.

    Where pairs are not independent, these are as many independent ones as would tell as much, and not whole.
    """

    won: float
    tied: float
    num: float

    @property
    def rate(self) -> float:
        """The share that is won, a tie counting half."""
        return (self.won + self.tied / 2) / self.num


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A win rate without the judge's errors."""

    rate: float | None
    """None where nothing is known: the judge cannot be told from one that guesses, or its errors on labelled
    pairs cannot explain what it found."""
    low: float
    high: float
    sensitivity: float | None
    """Win rate of the new model where it is better; None without such a pair."""
    specificity: float | None
    """Win rate of the old model where it is better; None likewise."""


def tally_of(preferences: Sequence[Preference]) -> Tally:
    """What a judge made of pairs; without a verdict one is lost."""
    signs = [sign_of(each) for each in preferences]
    effect = design_effect(signs, [each.cluster for each in preferences]) if preferences else 1.0
    return Tally(signs.count(1.0) / effect, signs.count(0.0) / effect, len(signs) / effect)


def corrected(judged: Tally, *, better: Tally, worse: Tally, level: float = 0.05) -> Corrected:
    """Correct the win rate of `judged` pairs, of which there is one at least, by the judge's errors.

    `better` and `worse` are labelled pairs in which the new reply is the better one, and the worse one. The
    correction is that of Rogan and Gladen 1978, as arXiv 2511.21140 uses it for judges; a tie is half a win.
    The interval, at confidence 1 - `level`, has all win rates that a test does not refuse (Fieller 1954),
    with the counts that Lang and Reiczigel 2014 add. It is [0, 1] where nothing is known, which an interval
    of the delta method would hide.
    """
    z = normal_quantile(1 - level / 2)
    seen, of_seen = _shrunk(judged, z * z)
    hit, of_hit = _shrunk(better, 2)
    miss, of_miss = _shrunk(worse, 2)
    # With a true win rate w the judge finds w * hit + (1 - w) * miss. So (seen - miss) - w * (hit - miss) is
    # 0 but for chance, and w is refused where its square exceeds z² times its variance: a quadratic in w.
    above, span = seen - miss, hit - miss
    square = span**2 - z * z * (of_hit + of_miss)
    linear = above * span - z * z * of_miss
    constant = above**2 - z * z * (of_seen + of_miss)
    low, high = 0.0, 1.0
    rate: float | None = None
    if span > 0 and square > 0:
        root = math.sqrt(max(linear**2 - square * constant, 0.0))
        least, most = (linear - root) / square, (linear + root) / square
        if least <= 1 and most >= 0:
            low, high = max(least, 0.0), min(most, 1.0)
            rate = min(max((judged.rate - worse.rate) / (better.rate - worse.rate), low), high)
    return Corrected(
        rate=rate,
        low=low,
        high=high,
        sensitivity=better.rate if better.num else None,
        specificity=1 - worse.rate if worse.num else None,
    )


def _shrunk(tally: Tally, added: float) -> tuple[float, float]:
    """The win rate with `added` pairs more, half of them won and half lost, and the variance of its mean."""
    num = tally.num + added
    rate = (tally.won + tally.tied / 2 + added / 2) / num
    square = (tally.won + tally.tied / 4 + added / 2) / num
    return rate, (square - rate**2) / num
