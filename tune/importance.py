"""Measures how much of the differences between trials each hyperparameter explains, and how certain that is.

Importance is a share of variance, like the main effects of a functional ANOVA (Hutter, Hoos and Leyton-Brown
2014). It is that of a parabola over the value, or of the means of its levels if they are not numbers, because
a forest has too little data in a few dozen trials. This allows an exact interval, from the noncentral F
distribution (Steiger 2004, Psychological Methods 9), which reaches down to zero wherever the trials cannot
tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import f as central_f
from scipy.stats import ncf

_CONFIDENCE = 0.95
_DEGREE = 2
"""Degree of the polynomial over a number: an optimum in the middle is as common as one at an end."""
_EXACT = 1e-6
"""Residual share of variance below which a fit counts as perfect."""


@dataclass(frozen=True, slots=True)
class Importance:
    """The importance of one hyperparameter."""

    share: float
    """Share of the scores' variance, from 0 to 1, adjusted for what a fit explains by chance."""
    low: float
    high: float
    """Two-sided 95 % interval."""
    num: int
    """Number of trials behind the share."""

    @property
    def shown(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0


def importance(values: Sequence[float] | Sequence[str], scores: Sequence[float]) -> Importance | None:
    """Measure a hyperparameter by its values, numbers or names of levels, and the scores of the same trials.

    Returns None if nothing can be said: all values or all scores are equal, or there are no more trials than
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
    """Build the columns of the regression, the constant first: shape (trials, parameters)."""
    levels = sorted(set(values))  # type: ignore[type-var]
    if any(isinstance(value, str) for value in levels):
        return np.array([[1.0, *(value == level for level in levels[1:])] for value in values])
    x = np.asarray(values, dtype=float)
    x = (x - x.mean()) / x.std()
    return np.vander(x, min(_DEGREE, len(levels) - 1) + 1, increasing=True)


def _noncentrality(ratio: float, df: int, left: int) -> tuple[float, float]:
    """Compute the ends of the noncentrality's interval for an observed F ratio."""
    tail = (1 - _CONFIDENCE) / 2

    def at(seen: float, probability: float) -> float:
        def excess(noncentrality: float) -> float:
            return float(ncf.cdf(seen, df, left, noncentrality)) - probability

        if excess(0.0) <= 0:
            return 0.0
        high = next(end for end in (4.0**power for power in range(1, 60)) if excess(end) < 0)
        return float(brentq(excess, 0.0, high))

    # A ratio that is small by luck would make the interval end at zero, as if that were certain.
    return at(ratio, 1 - tail), at(max(ratio, float(central_f.median(df, left))), tail)


def _share_of(noncentrality: float, num: int) -> float:
    return noncentrality / (noncentrality + num)
