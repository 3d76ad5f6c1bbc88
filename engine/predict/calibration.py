"""How good chances are that were given beforehand: Brier score, calibration error, reliability diagram.

Sources: Brier 1950; expected calibration error over equal bins, Naeini et al. 2015 and Guo et al. 2017.
Steps of one problem are not independent, so every interval resamples problems.
"""

from collections.abc import Sequence

import numpy as np

from engine.measure.paired import by_cluster, mean_change
from engine.records import Calibration, Estimate, ReliabilityBin

BINS = 10
_RESAMPLES = 2000
_LEVEL = 0.05


def calibration_of(name: str, chances: np.ndarray, valid: np.ndarray, groups: Sequence[str]) -> Calibration:
    """Brier score and expected calibration error with 95 % intervals over groups, and the bins behind it."""
    return Calibration(
        name=name,
        brier=_mean((chances - valid) ** 2, groups),
        ece=_ece(chances, valid, groups),
        bins=reliability(chances, valid),
    )


def advantage(chances: np.ndarray, others: np.ndarray, valid: np.ndarray, groups: Sequence[str]) -> Estimate:
    """How much lower the Brier score of `chances` is than that of `others`, paired, with its interval."""
    return _mean((others - valid) ** 2 - (chances - valid) ** 2, groups)


def reliability(chances: np.ndarray, valid: np.ndarray) -> tuple[ReliabilityBin, ...]:
    """The bins that hold a step: their mean chance, and how many of their steps are valid."""
    bins = _bin_of(chances)
    return tuple(
        ReliabilityBin(
            predicted=float(chances[bins == each].mean()),
            num_valid=int(valid[bins == each].sum()),
            num=int((bins == each).sum()),
        )
        for each in sorted(set(bins.tolist()))
    )


def _bin_of(chances: np.ndarray) -> np.ndarray:
    return np.minimum((chances * BINS).astype(int), BINS - 1)


def _mean(values: np.ndarray, groups: Sequence[str]) -> Estimate:
    """A mean over steps with the interval of a bootstrap over groups."""
    sums, sizes = by_cluster(values.tolist(), groups), by_cluster([1.0] * len(values), groups)
    found = mean_change(sums, sizes, _LEVEL)
    return Estimate(value=found.mean, low=found.low, high=found.high)


def _ece(chances: np.ndarray, valid: np.ndarray, groups: Sequence[str]) -> Estimate:
    """The expected calibration error, by a bootstrap over groups.

    Resampling adds as much noise to the bins as sampling did, and noise only raises the error. So the
    interval is the reflected one, 2 x found - quantiles (the basic bootstrap, Davison and Hinkley 1997),
    not below 0.
    """
    names = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    rows, bins = np.array([names[name] for name in groups]), _bin_of(chances)
    gaps = np.zeros((len(names), BINS))
    np.add.at(gaps, (rows, bins), chances - valid)
    sizes = np.bincount(rows, minlength=len(names)).astype(float)
    found = float(np.abs(gaps.sum(axis=0)).sum() / sizes.sum())
    counts = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), _RESAMPLES)
    again = np.abs(counts @ gaps).sum(axis=1) / (counts @ sizes)
    low, high = (2 * found - float(np.quantile(again, at)) for at in (1 - _LEVEL / 2, _LEVEL / 2))
    return Estimate(value=found, low=min(found, max(0.0, low)), high=max(found, high))
