"""How much of the differences between trials a hyperparameter explains by itself, and how surely it does.

A share of variance, as the main effects of a functional ANOVA are (Hutter, Hoos and Leyton-Brown 2014), but
of a parabola over the value, or of the means of its levels, where these are no numbers: a forest has too
little to go by in a few dozen trials. So the interval can be an exact one, from the noncentral F distribution
(Steiger 2004, Psychological Methods 9), and reaches down to zero wherever the trials cannot tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import f as central_f
from scipy.stats import ncf

_CONFIDENCE = 0.95
_DEGREE = 2
"""Of the polynomial over a number: best in the middle is as usual as best at an end."""
_EXACT = 1e-6
"""Share of variance left over, below which a fit is taken for one without any."""


@dataclass(frozen=True, slots=True)
class Importance:
    """Of one hyperparameter."""

    share: float
    """Of the variance of the scores, from 0 to 1; adjusted for what a fit explains by chance."""
    low: float
    high: float
    """Two-sided 95 % interval."""
    num: int
    """Trials behind it."""

    @property
    def shown(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0


def importance(values: Sequence[float] | Sequence[str], scores: Sequence[float]) -> Importance | None:
    """Of a hyperparameter that had these values in trials with these scores: numbers, or names of levels.

    None where nothing can be said: all values or all scores are the same, or there are no more trials than
    the fit has parameters.
    """
    if len(set(scores)) < 2 or len(set(values)) < 2:
        return None
    num, y = len(scores), np.asarray(scores, dtype=float)
    total = float(((y - y.mean()) ** 2).sum())
    columns = _columns(values)
    df = columns.shape[1] - 1
    left = num - 1 - df
    if left < 1:
        return None
    fitted = columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    residual = max(float(((y - fitted) ** 2).sum()), _EXACT * total)
    share = 1 - (residual / left) / (total / (num - 1))
    ratio = ((total - residual) / df) / (residual / left)
    low, high = (_share_of(it, num) for it in _noncentrality(ratio, df, left))
    return Importance(share=min(max(share, low, 0.0), high), low=low, high=high, num=num)


def _columns(values: Sequence[float] | Sequence[str]) -> np.ndarray:
    """Of the regression, the constant first: shape (trials, parameters)."""
    levels = sorted(set(values))  # type: ignore[type-var]
    if any(isinstance(value, str) for value in levels):
        return np.array([[1.0, *(value == level for level in levels[1:])] for value in values])
    x = np.asarray(values, dtype=float)
    x = (x - x.mean()) / x.std()
    return np.vander(x, min(_DEGREE, len(levels) - 1) + 1, increasing=True)


def _noncentrality(ratio: float, df: int, left: int) -> tuple[float, float]:
    """Ends of its interval, for an F ratio that was seen."""
    tail = (1 - _CONFIDENCE) / 2

    def at(seen: float, probability: float) -> float:
        def excess(noncentrality: float) -> float:
            return float(ncf.cdf(seen, df, left, noncentrality)) - probability

        if excess(0.0) <= 0:
            return 0.0
        high = next(end for end in (4.0**power for power in range(1, 60)) if excess(end) < 0)
        return float(brentq(excess, 0.0, high))

    # A ratio that is small by luck would make the interval end at zero: as if it were known to be nothing.
    return at(ratio, 1 - tail), at(max(ratio, float(central_f.median(df, left))), tail)


def _share_of(noncentrality: float, num: int) -> float:
    return noncentrality / (noncentrality + num)
