"""Two models on the same items: bounds of a paired drop, its power, and the change of likelihoods."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from engine.measure.stats import StatsError, normal_quantile

Counts = np.ndarray | np.float64
LEAST_DOCUMENTS = 8
"""Documents that a bootstrap over them needs."""


def tango_score(lost: Counts, gained: Counts, num: int, drop: float) -> Counts:
    """Score statistic of H0: P(lost) - P(gained) = `drop`, for arrays of discordant counts among `num` pairs.

    Standard normal under H0, negative where the drop seen is smaller than `drop`, which must lie strictly
    between -1 and 1 and not be 0 where no pair is discordant. Source: Tango 1998, Statistics in Medicine 17.
    """
    linear = -lost - gained + (2 * num - lost + gained) * drop
    constant = -gained * drop * (1 - drop)
    # The share gained that is most likely given the drop: the positive root of a quadratic.
    share = (np.sqrt(linear * linear - 8 * num * constant) - linear) / (4 * num)
    return (lost - gained - num * drop) / np.sqrt(num * (2 * share + drop * (1 - drop)))


def paired_drop_bound(lost: int, gained: int, num: int, level: float = 0.05) -> float:
    """Upper one-sided bound, at confidence 1 - `level`, of the drop P(lost) - P(gained) among `num` pairs.

    `lost` counts the pairs that only the old model passed, `gained` those that only the new one passed.
    Raises StatsError for counts that do not fit. Source: Tango 1998 (inverted score test).
    """
    if num < 1 or lost < 0 or gained < 0 or lost + gained > num:
        raise StatsError(f"{lost} lost and {gained} gained pairs do not fit among {num}")
    if lost == num:
        return 1.0  # where every pair was lost nothing lies above what was seen, and the score is 0 / 0
    low, high, z = (lost - gained) / num, 1.0, normal_quantile(level)
    for _ in range(50):
        middle = (low + high) / 2
        if tango_score(np.float64(lost), np.float64(gained), num, middle) > z:
            low = middle
        else:
            high = middle
    return high


def paired_drop_power(num: int, margin: float, discordance: float, level: float = 0.05) -> float:
    """Chance that `paired_drop_bound` stays under `margin` when nothing has changed, exactly.

    `discordance` is the share of pairs on which the two models differ, half of them each way.
    """
    counts = np.flatnonzero(binomial(num, discordance) > 1e-12)
    power = 0.0
    for discordant in counts.tolist():
        lost = np.arange(discordant + 1)
        shown = tango_score(lost, discordant - lost, num, margin) < normal_quantile(level)
        power += float(binomial(num, discordance)[discordant] * binomial(discordant, 0.5)[shown].sum())
    return power


class Change(NamedTuple):
    """A mean change and its upper one-sided bound, in nats per token."""

    mean: float
    upper: float


def nll_change(
    before: Sequence[float],
    after: Sequence[float],
    num_tokens: Sequence[int],
    *,
    level: float = 0.05,
    seed: int = 0,
) -> Change:
    """The change of the mean negative log-likelihood per token, bounded by a bootstrap over documents.

    `before` and `after` hold each document's summed negative log-likelihood in nats. Documents are resampled,
    not tokens, because tokens of one document are not independent; the bound is studentized, since with a
    few dozen documents plain percentiles are too narrow. The seed makes it repeatable. Raises StatsError for
    fewer than 8 documents, unequal lengths, or values that are not finite. Source: Efron and Tibshirani 1993.
    """
    if not len(before) == len(after) == len(num_tokens) >= LEAST_DOCUMENTS or min(num_tokens) < 1:
        raise StatsError(
            f"a bootstrap needs at least {LEAST_DOCUMENTS} documents with tokens, scored before and after, "
            f"got {len(before)}, {len(after)} and {len(num_tokens)} values"
        )
    change = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    tokens = np.asarray(num_tokens, dtype=np.float64)
    if not np.isfinite(change).all():
        raise StatsError("negative log-likelihoods must be finite")
    ones = np.ones((1, len(change)))
    mean, error = (float(value[0]) for value in _ratio(ones, change, tokens))
    if error == 0.0:
        return Change(mean=mean, upper=mean)
    num = len(change)
    counts = np.random.default_rng(seed).multinomial(num, np.full(num, 1 / num), 4000)
    means, errors = _ratio(counts, change, tokens)
    # A resample of one document over and over has no spread: it says nothing about the statistic.
    spread = errors > 0
    statistic = (means[spread] - mean) / errors[spread]
    return Change(mean=mean, upper=mean - float(np.quantile(statistic, level)) * error)


def _ratio(counts: np.ndarray, change: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean change per token and its standard error (linearized), one of each per row of document counts."""
    total = counts @ tokens
    means = (counts @ change) / total
    # sum of c * (change - mean * tokens)^2, multiplied out so that no resample x document array is needed
    squares = counts @ change**2 - 2 * means * (counts @ (change * tokens)) + means**2 * (counts @ tokens**2)
    return means, np.sqrt(np.maximum(squares, 0.0)) / total


@lru_cache(maxsize=4096)
def binomial(num: int, share: float) -> np.ndarray:
    """Probabilities of 0..num successes; read-only. Shape (num + 1,)."""
    if share in (0.0, 1.0):
        mass = np.zeros(num + 1)
        mass[round(num * share)] = 1.0
    else:
        k = range(num + 1)
        logs = [math.lgamma(num + 1) - math.lgamma(i + 1) - math.lgamma(num - i + 1) for i in k]
        mass = np.exp(
            np.array(logs)
            + np.arange(num + 1) * math.log(share)
            + np.arange(num, -1, -1) * math.log1p(-share)
        )
    mass.flags.writeable = False
    return mass
