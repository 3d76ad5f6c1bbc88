"""How much better one arm of an experiment is than another, and with how much less data: pure statistics.

Two arms are trained from one champion with several seeds and answer the same problems, so that there is a
difference for every seed and every problem. Both are samples: other seeds would have trained other models,
and other problems would have told something else. An interval over seeds alone speaks of these problems only,
one over problems alone of these models only. Claims rest on the interval over both.

Nothing here knows of runs or models:

    python -c "from tune.effects import effect; print(effect([[0, 1, 1], [1, 0, 1]], shares=True))"
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from engine.records import AnyFloat

LEVEL = 0.05
"""One minus the confidence of every interval."""
_MOST_SEEDS = 100
_MOST_TIMES_PROBLEMS = 64
"""More seeds, and more times the problems, than anybody is asked for."""
_GRID = 50
"""Places between two checkpoints at which data ratios are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A two-sided 95 % interval; infinite where there is no bound."""

    low: AnyFloat
    high: AnyFloat


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The mean difference of two arms, with its intervals."""

    mean: float
    over_seeds: Range
    """On these problems, for other seeds: a t interval over the seeds' mean differences."""
    over_problems: Range
    """For these models, on other problems: a t interval over the problems' mean differences."""
    both: Range
    """For other seeds on other problems."""
    num_seeds: int
    num_problems: int
    won: int
    """Pairs of a seed and a problem on which the first arm alone did better."""
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times the treatment's learnt tokens the control needs for the same accuracy."""

    value: AnyFloat | None
    """Infinite where the control gains nothing, None where neither arm does."""
    over_seeds: Range
    both: Range


Verdict = Literal["supported", "not supported", "undecided"]


class Conclusion(NamedTuple):
    """What an effect shows."""

    verdict: Verdict
    more_seeds: int = 0
    """About so many more seeds would decide; 0 where it is decided or nobody can tell."""
    more_problems: int = 0
    """Beside them about so many more problems."""


class Parts(NamedTuple):
    """Variances of a mean difference, by where they come from; arrays where there are several differences."""

    seeds: np.ndarray
    problems: np.ndarray
    rest: np.ndarray
    """The variance of single differences, once their seed's and their problem's means are taken away."""


def effect(differences: Sequence[Sequence[float]] | np.ndarray, *, shares: bool) -> Effect:
    """The mean of `differences`, a row for each seed and a column for each problem, with its intervals.

    Assumes that seeds are drawn independently of problems, that the problems are independent of each other,
    and that the means of seeds are about normal, which a few seeds cannot show. The interval over both adds
    the variance of the seeds' means and that of the problems' means and takes away what both count twice
    (two-way random effects; Owen 2007, Cameron, Gelbach and Miller 2011), with degrees of freedom after
    Satterthwaite 1946. With `shares` the values are 1 for passed and 0 for not passed; half a problem won and
    half a problem lost are then added, as are two problems alike (after Agresti and Min 2005), so that a few
    problems without any difference are no certainty.

    Simulated with 2 to 10 seeds on 30 to 300 problems (`tests/soak/test_experiment_simulation.py`, 60 worlds
    of 1,500 experiments), the interval over both holds the difference in 93.5 to 100 % of experiments and
    lies above it in at most 4.2 %; the one over seeds alone holds it in 44 to 96 %, as it takes the problems
    for all there are.
    """
    matrix = np.asarray(differences, dtype=np.float64)
    num_seeds, num_problems = matrix.shape
    ranges = _ranges(np.asarray(matrix.mean()), _products(matrix, matrix), *matrix.shape, shares=shares)
    over_seeds, over_problems, both = (Range(low=float(low), high=float(high)) for low, high in ranges)
    return Effect(
        mean=float(matrix.mean()),
        over_seeds=over_seeds,
        over_problems=over_problems,
        both=both,
        num_seeds=num_seeds,
        num_problems=num_problems,
        won=int((matrix > 0).sum()),
        lost=int((matrix < 0).sum()),
    )


def _products(first: np.ndarray, second: np.ndarray) -> Parts:
    """Covariances of the means of two matrices of seeds and problems; of a matrix with itself, variances."""
    num_seeds, num_problems = first.shape
    of_seeds, of_problems = max(num_seeds - 1, 1), max(num_problems - 1, 1)
    (seeds, problems, rest), (with_seeds, with_problems, with_rest) = map(_apart, (first, second))
    return Parts(
        seeds @ with_seeds / of_seeds / num_seeds,
        problems @ with_problems / of_problems / num_problems,
        (rest * with_rest).sum() / (of_seeds * of_problems) / first.size,
    )


def _apart(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far the means of seeds, the means of problems and single values lie from what is expected."""
    mean, of_seeds, of_problems = matrix.mean(), matrix.mean(axis=1), matrix.mean(axis=0)
    return of_seeds - mean, of_problems - mean, matrix - of_seeds[:, None] - of_problems[None, :] + mean


def _ranges(
    means: np.ndarray, parts: Parts, num_seeds: int, num_problems: int, *, shares: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Ends of the intervals over seeds, over problems and over both; one of a kind says nothing of others."""
    seeds, problems = parts.seeds, parts.problems
    of_seeds, of_problems = max(num_seeds - 1, 1), max(num_problems - 1, 1)
    if shares:
        apart = problems * num_problems * of_problems
        problems = np.maximum(problems, (apart + 1) / (num_problems + 2) ** 2)
    if num_seeds == 1:
        seeds = np.full_like(means, np.inf)
    if num_problems == 1:
        problems = np.full_like(means, np.inf)
    variance = np.maximum(seeds + problems - parts.rest, np.maximum(seeds, problems))
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = variance**2 / (seeds**2 / of_seeds + problems**2 / of_problems)
    freedom = np.clip(np.nan_to_num(freedom, nan=1.0), 1.0, num_seeds * num_problems - 1 or 1)
    over_seeds, over_problems = _half(seeds, of_seeds), _half(problems, of_problems)
    # More degrees of freedom must not make it narrower than what it takes in.
    both = np.maximum(_half(variance, freedom), np.maximum(over_seeds, over_problems))
    return [(means - half, means + half) for half in (over_seeds, over_problems, both)]


def _half(variance: np.ndarray, freedom: np.ndarray | int) -> np.ndarray:
    """Half the width of Student's t interval."""
    from scipy.stats import t

    return t.ppf(1 - LEVEL / 2, freedom) * np.sqrt(np.maximum(variance, 0.0))


def data_ratio(
    treatment: Sequence[Sequence[Sequence[float]]] | np.ndarray,
    control: Sequence[Sequence[Sequence[float]]] | np.ndarray,
    tokens: tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray],
    *,
    shares: bool,
) -> Ratio:
    """How many times the treatment's learnt tokens the control needs to reach the same mean score.

    Each arm is scores by seed, checkpoint and problem; its first checkpoint is the champion, before anything
    was learnt. `tokens` are those learnt at the checkpoints of both arms, from 0 upwards. Where the treatment
    ends higher, it is asked where on its own curve it reached what the control has at the end; where the
    control ends higher, the other way round, and the ratio is below 1. Between checkpoints curves are
    straight lines, which for curves that flatten overstates the tokens needed, so that the ratio errs towards
    1.

    The interval holds every ratio at which the two curves do not differ by `effect`: an inverted paired test,
    as in Fieller 1954, for curves of any shape. It has no upper bound where the control's own gain covers
    zero, and lies above 1 exactly where the difference at the end lies above 0.

    Assumes what `effect` does, and that a checkpoint stands for a training on so many tokens alone. That is
    true of a constant learning rate; one that falls towards the end holds early checkpoints of both arms
    back, and the ratio again errs towards 1.

    Simulated as for `effect` (24 worlds of 150 experiments), the interval over both holds the ratio of the
    true curves in 92.7 to 100 % of experiments.
    """
    first, second = (np.asarray(each, dtype=np.float64) for each in (treatment, control))
    of_first, of_second = (np.asarray(each, dtype=np.float64) for each in tokens)
    seeds: list[float] = []
    both: list[float] = []
    # The treatment on its way against the control at the end, and the other way round.
    for curve, places, end, sign in ((first, of_first, second, 1.0), (second, of_second, first, -1.0)):
        for step in range(len(places) - 1):
            way = np.linspace(0.0, 1.0, _GRID + 1)
            start, slope = sign * (curve[:, step] - end[:, -1]), sign * (curve[:, step + 1] - curve[:, step])
            alone, mixed, steep = (
                _products(*pair) for pair in ((start, start), (start, slope), (slope, slope))
            )
            parts = Parts(
                *(a + 2 * way * b + way**2 * c for a, b, c in zip(alone, mixed, steep, strict=True))
            )
            means = start.mean() + way * slope.mean()
            over_seeds, _, over_both = _ranges(means, parts, *start.shape, shares=shares)
            at = places[step] + way * (places[step + 1] - places[step])
            with np.errstate(divide="ignore"):
                ratios = of_second[-1] / at if sign > 0 else at / of_first[-1]
            for kept, (low, high) in ((seeds, over_seeds), (both, over_both)):
                kept += ratios[(low <= 0) & (high >= 0)].tolist()
    value = _ratio(first.mean(axis=(0, 2)), second.mean(axis=(0, 2)), of_first, of_second)
    return Ratio(value=value, over_seeds=_hull(seeds, value), both=_hull(both, value))


def _ratio(
    treatment: np.ndarray, control: np.ndarray, of_treatment: np.ndarray, of_control: np.ndarray
) -> float | None:
    """The data ratio of two mean curves over their tokens; None where neither arm ends above the champion."""
    if max(treatment[-1], control[-1]) <= treatment[0]:
        return None
    if treatment[-1] >= control[-1]:
        reached = _reached(treatment, of_treatment, control[-1])
        return float(of_control[-1]) / reached if reached else math.inf
    return _reached(control, of_control, treatment[-1]) / float(of_treatment[-1])


def _reached(curve: np.ndarray, tokens: np.ndarray, level: float) -> float:
    """Tokens at which a curve, which ends no lower, first comes up to a level."""
    if curve[0] >= level:
        return 0.0
    after = int(np.argmax(curve >= level))
    share = (level - curve[after - 1]) / (curve[after] - curve[after - 1])
    return float(tokens[after - 1] + share * (tokens[after] - tokens[after - 1]))


def _hull(ratios: Sequence[float], value: float | None) -> Range:
    """The range of the ratios that are not refused, and of the one that was seen.

    Where an arm loses and the gain of the other is not shown, small and large ratios are not refused while
    those between are: then nothing is known, and the range says so.
    """
    all_of = [*ratios, *([] if value is None else [value])]
    return Range(low=min(all_of), high=max(all_of)) if all_of else Range(low=0.0, high=math.inf)


def conclude(
    differences: Sequence[Sequence[float]] | np.ndarray, *, matters: float, shares: bool
) -> Conclusion:
    """What the `differences` of treatment and control show, and about how many more seeds would decide.

    ``supported``: better, by the interval over seeds and problems. ``not supported``: not better by as much
    as `matters`. ``undecided``: neither, and the seeds that are lacking follow from the spread that was seen,
    as if the difference were the one that was seen; where more seeds alone cannot decide, because the
    problems are too few, more problems are named beside them. That is a plan, not a promise: an effect seen
    by luck needs more.
    """
    found, matrix = effect(differences, shares=shares), np.asarray(differences, dtype=np.float64)
    if found.both.low > 0:
        return Conclusion("supported")
    if found.both.high < matters:
        return Conclusion("not supported")
    if found.num_seeds < 2 or found.num_problems < 2:
        return Conclusion("undecided")
    seeds, problems, rest = (float(each) for each in _products(matrix, matrix))
    rest *= matrix.size
    seeds = max(seeds * found.num_seeds - rest / found.num_problems, 0.0)
    problems = max(problems * found.num_problems - rest / found.num_seeds, 0.0)
    times = 1
    while times <= _MOST_TIMES_PROBLEMS:
        num_problems = times * found.num_problems
        for num in range(found.num_seeds, _MOST_SEEDS + 1):
            own = rest / num / num_problems
            hoped = Parts(*map(np.asarray, (seeds / num + own, problems / num_problems + own, own)))
            _, _, (low, high) = _ranges(np.asarray(found.mean), hoped, num, num_problems, shares=shares)
            if low > 0 or high < matters:
                return Conclusion("undecided", num - found.num_seeds, num_problems - found.num_problems)
        times *= 2
    return Conclusion("undecided")
