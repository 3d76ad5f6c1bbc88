"""Two models on the same items: exact tests, bounds of a paired drop, its power, and changes of a mean."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from engine.measure.stats import StatsError, normal_quantile

Counts = np.ndarray | np.float64
LEAST_DOCUMENTS = 8
"""Documents that a bootstrap over them needs."""
LARGEST = 1e140
"""Most that a value changes by where its square is to be computed with."""
MOST_RESAMPLED = 1000
"""Values that are resampled for an interval; of more, the normal distribution tells as much."""
CHANGED = 0.10
"""Assumed share of items that two models which are alike answer differently, half of them each way."""
_LEAST_BEYOND = 20
"""Resamples that must lie beyond a bound, or the most extreme ones alone would tell where it is."""


def tango_score(lost: Counts, gained: Counts, num: float, drop: float) -> Counts:
    """Score statistic of H0: P(lost) - P(gained) = `drop`, for arrays of discordant counts among `num` pairs.

    Standard normal under H0, negative where the drop seen is smaller than `drop`, which must lie strictly
    between -1 and 1 and not be 0 where no pair is discordant. Source: Tango 1998, Statistics in Medicine 17.
    """
    linear = -lost - gained + (2 * num - lost + gained) * drop
    constant = -gained * drop * (1 - drop)
    # The share gained that is most likely given the drop: the positive root of a quadratic.
    share = (np.sqrt(linear * linear - 8 * num * constant) - linear) / (4 * num)
    return (lost - gained - num * drop) / np.sqrt(num * (2 * share + drop * (1 - drop)))


def sign_flip_test(sums: Sequence[int]) -> float:
    """One-sided exact p-value that clusters speak for the new model more than chance would have them.

    `sums` holds each cluster's items won less those lost. Where neither model is better, a cluster might as
    well have spoken the other way: each sum's sign is turned round with probability one half. Clusters of one
    item each give the sign test. Sources: Fisher 1935; Gail et al. 1996 (pairs of clusters).
    """
    mass = np.ones(1)
    for size in sorted(abs(each) for each in sums if each):
        turned = np.zeros(len(mass) + size)
        turned[:-size] = mass
        turned[size:] += mass
        mass = turned / 2
    return min(1.0, float(mass[sum(each for each in sums if each > 0) :].sum()))


def design_effect(changes: Sequence[float], clusters: Sequence[str]) -> float:
    """How many times as uncertain the mean of `changes` is as it would be with independent items; at least 1.

    `clusters` names the cluster of each. Counts divided by it can be used as if items were independent. Where
    no item differs from the others, clusters count as one item each. Source: Rao and Scott 1992.
    """
    sums, num = by_cluster(changes, clusters), len(changes)
    if (groups := len(sums)) == num:
        return 1.0
    sizes, mean = by_cluster([1.0] * num, clusters), sum(changes) / num
    alone = sum((each - mean) ** 2 for each in changes) / (num - 1)
    if alone == 0.0 or groups == 1:
        return num / groups
    together = sum((each - mean * size) ** 2 for each, size in zip(sums, sizes, strict=True))
    return min(max(1.0, together * groups / (groups - 1) / num / alone), float(num))


def by_cluster(values: Sequence[float], clusters: Sequence[str]) -> list[float]:
    """The sum of `values` in each cluster, in the order in which clusters are first named."""
    sums: dict[str, float] = {}
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + value
    return list(sums.values())


def by_story(changes: Sequence[float], stories: Sequence[str]) -> tuple[float, float, int]:
    """What was lost, gained and asked where each story counts once, by the mean of its changes.

    Changes lie between -1 and 1. Between stories they are independent, whatever they are within them, and a
    mean spreads no more than if the story were lost or gained as a whole. So `paired_drop_bound` of these
    numbers holds with few stories too, where a design effect that is estimated from them is often too small.
    """
    sums, sizes = by_cluster(changes, stories), by_cluster([1.0] * len(changes), stories)
    means = [total / size for total, size in zip(sums, sizes, strict=True)]
    return -sum(min(each, 0.0) for each in means), sum(max(each, 0.0) for each in means), len(means)


def paired_drop_bound(lost: float, gained: float, num: float, level: float = 0.05) -> float:
    """Upper one-sided bound, at confidence 1 - `level`, of the drop P(lost) - P(gained) among `num` pairs.

    `lost` counts the pairs that only the old model passed, `gained` those that only the new one passed; they
    need not be whole where items are clustered. Raises StatsError for counts that do not fit. Source: Tango
    1998 (inverted score test).
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
    if not np.isfinite(change).all():
        raise StatsError("negative log-likelihoods must be finite")
    mean, error, statistic = _studentized(change, np.asarray(num_tokens, dtype=np.float64), seed)
    return Change(mean=mean, upper=mean - float(np.quantile(statistic, level)) * error if error else mean)


class Bounds(NamedTuple):
    """A mean with its two-sided interval."""

    mean: float
    low: float
    high: float


def mean_change(changes: Sequence[float], sizes: Sequence[float], level: float, *, seed: int = 0) -> Bounds:
    """The change for each unit of size, sum of `changes` over sum of `sizes`, at confidence 1 - `level`.

    The interval comes from the bootstrap of `nll_change`, for more than 1,000 values from the normal
    distribution, which the bootstrap then agrees with. At a level of which the resamples are too few to tell,
    Student's t bounds it where it is the wider of the two. Raises StatsError for fewer than 8 values, and for
    one that is no number up to `LARGEST`. Source: Student 1908.
    """
    if not len(changes) == len(sizes) >= LEAST_DOCUMENTS:
        raise StatsError(f"an interval needs at least {LEAST_DOCUMENTS} values, got {len(changes)}")
    if not are_computable(changes):
        raise StatsError(f"an interval needs changes of at most {LARGEST:g}")
    change, size = np.asarray(changes, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    if len(change) > MOST_RESAMPLED:
        mean, error = (float(value[0]) for value in _ratio(np.ones((1, len(change))), change, size))
        half = normal_quantile(1 - level / 2) * error
        return Bounds(mean, mean - half, mean + half)
    mean, error, statistic = _studentized(change, size, seed)
    if error == 0.0:
        return Bounds(mean, mean, mean)
    tail = level / 2
    least, most = (float(np.quantile(statistic, at)) for at in (tail, 1 - tail))
    if tail * len(statistic) < _LEAST_BEYOND:
        from scipy.special import stdtrit

        quantile = float(stdtrit(len(change) - 1, tail))
        least, most = min(least, quantile), max(most, -quantile)
    return Bounds(mean, mean - most * error, mean - least * error)


def are_computable(changes: Sequence[float]) -> bool:
    """Whether changes are numbers whose squares are finite, many of them together too."""
    return all(abs(change) <= LARGEST for change in changes)


def _studentized(change: np.ndarray, tokens: np.ndarray, seed: int) -> tuple[float, float, np.ndarray]:
    """The change per token, its standard error, and the bootstrap distribution of the one over the other."""
    mean, error = (float(value[0]) for value in _ratio(np.ones((1, len(change))), change, tokens))
    if error == 0.0:
        return mean, error, np.zeros(0)
    num = len(change)
    counts = np.random.default_rng(seed).multinomial(num, np.full(num, 1 / num), 4000)
    means, errors = _ratio(counts, change, tokens)
    # A resample of one document over and over has no spread: it says nothing about the statistic.
    spread = errors > 0
    if not spread.any():  # what spread there is was rounding
        return mean, 0.0, np.zeros(0)
    return mean, error, (means[spread] - mean) / errors[spread]


def _ratio(counts: np.ndarray, change: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean change per token and its standard error (linearized), one of each per row of document counts."""
    total = counts @ tokens
    means = (counts @ change) / total
    # Multiplied out, the squares would lose a spread that is small beside the mean.
    left = change - means[:, None] * tokens
    errors = np.sqrt(np.einsum("ij,ij,ij->i", counts, left, left)) / total
    rounding = 4 * np.finfo(np.float64).eps * np.abs(means)
    return means, np.where(errors > rounding, errors, 0.0)


@lru_cache(maxsize=4096)
def binomial(num: int, share: float) -> np.ndarray:
    """Probabilities of 0..num successes; read-only. Shape (num + 1,)."""
    if share in (0.0, 1.0):
        mass = np.zeros(num + 1)
        mass[round(num * share)] = 1.0
    else:
        logs = _log_factorials(1 << num.bit_length())[: num + 1]
        mass = np.exp(
            (logs[num] - logs - logs[::-1])
            + np.arange(num + 1) * math.log(share)
            + np.arange(num, -1, -1) * math.log1p(-share)
        )
    mass.flags.writeable = False
    return mass


@lru_cache
def _log_factorials(num: int) -> np.ndarray:
    """Logarithms of 0! to num!."""
    return np.array([math.lgamma(number + 1) for number in range(num + 1)])
