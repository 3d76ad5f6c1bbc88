"""Where a model is weak, and after the gate whether the challenger still is.

Tested, not guessed: a weakness is a slice in which one kind of failure is more frequent than elsewhere
(one-sided Fisher exact for every cell of a slice and a fault that was seen in any, Benjamini-Hochberg over
all cells, also those without a failure: else chance would decide how many tests there are); it closed where
the challenger fails in that way more rarely on fresh problems (exact sign test on the pairs). A difference
that chance explains is neither.

What fails is an answer that the verifier refuses, or, where there is no verifier, a passage whose perplexity
is above a limit.
"""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.measure.likelihood import perplexity
from engine.measure.stats import StatsError, benjamini_hochberg, fisher_greater, interval, sign_test
from engine.records import Answer, Closure, Duel, Likelihood, Problem, Status, Weakness

CLOSED_LEVEL = 0.05
"""Largest p at which a weakness counts as closed."""
UNLIKELY = "unlikely"
"""The fault of a passage whose perplexity is above the limit."""


def mine(
    problems: Sequence[Problem], answers: Sequence[Answer], *, false_discovery: float, num_problems: int
) -> list[Weakness]:
    """Weak cells, the largest quota first. `answers` are greedy, one to a problem.

    Half of the round's `num_problems` go to weak cells by deficit x frequency; the rest stay with the
    whole mixture, so that aiming at one slice does not forget the others. With 0 problems the cells are only
    reported.
    """
    failed = {a.verdict.problem_id: a.verdict.fault for a in answers if a.verdict.status is Status.FAIL}
    return _weak_cells(problems, failed, false_discovery, num_problems)


def mine_likelihoods(
    problems: Sequence[Problem],
    likelihoods: Sequence[Likelihood],
    *,
    threshold: float | None,
    quantile: float | None,
    false_discovery: float,
    num_problems: int,
) -> list[Weakness]:
    """Slices whose passages are unlikely to the model more often than those elsewhere; else as `mine`.

    A passage is unlikely where its perplexity is above `threshold`, or above the `quantile` of all of these.
    A limit that the passages set themselves leaves Fisher's test exact, because it does not depend on which
    passage is in which slice. A passage whose likelihood is not finite is not counted as unlikely. Raises
    StatsError unless exactly one of the two is given, and for a quantile that is not between 0 and 1.
    """
    found = {each.problem_id: perplexity(each) for each in likelihoods}
    limit = limit_of(likelihoods, threshold=threshold, quantile=quantile)
    failed = {id: UNLIKELY for id, value in found.items() if value is not None and value > limit}
    weaknesses = _weak_cells(problems, failed, false_discovery, num_problems)
    return [replace(weakness, signal="likelihood", limit=limit) for weakness in weaknesses]


def limit_of(likelihoods: Sequence[Likelihood], *, threshold: float | None, quantile: float | None) -> float:
    """The perplexity above which a passage is unlikely. A quantile is one of the perplexities themselves.

    Raises StatsError as `mine_likelihoods` does.
    """
    if threshold is not None and quantile is None:
        return threshold
    if quantile is None or threshold is not None or not 0 < quantile < 1:
        raise StatsError(
            "unlikely is above a threshold, or above a quantile between 0 and 1, "
            f"got threshold {threshold} and quantile {quantile}"
        )
    ordered = sorted(value for each in likelihoods if (value := perplexity(each)) is not None)
    return ordered[math.ceil(quantile * len(ordered)) - 1] if ordered else math.inf


def _weak_cells(
    problems: Sequence[Problem], failed: Mapping[str, str], false_discovery: float, num_problems: int
) -> list[Weakness]:
    """Every weak cell with its quota; `failed` maps the id of each problem that failed to its fault."""
    slice_of = {problem.id: problem.slice for problem in problems}
    totals = Counter(slice_of.values())
    failures = Counter((slice_of[id], fault) for id, fault in failed.items())
    faults = Counter(failed.values())
    cells = sorted(itertools.product(totals, faults))
    num = len(problems)
    p_values = []
    for cell in cells:
        here, there = failures[cell], faults[cell[1]] - failures[cell]
        p_values.append(fisher_greater(here, totals[cell[0]], there, num - totals[cell[0]]))
    found = []
    for cell, p in zip(cells, benjamini_hochberg(p_values), strict=True):
        name, fault = cell
        elsewhere_num = num - totals[name]
        elsewhere = (faults[fault] - failures[cell]) / elsewhere_num if elsewhere_num else 0.0
        share = interval(failures[cell], totals[name])
        if p <= false_discovery and share.rate > elsewhere:
            found.append((name, fault, share, elsewhere, p, (share.rate - elsewhere) * totals[name] / num))
    quotas = _apportion(num_problems // 2, [entry[-1] for entry in found])
    weaknesses = [
        Weakness(
            slice=name,
            fault=fault,
            rate=share.rate,
            elsewhere=elsewhere,
            low=share.low,
            high=share.high,
            p_adjusted=p,
            quota=quota,
        )
        for (name, fault, share, elsewhere, p, _), quota in zip(found, quotas, strict=True)
    ]
    return sorted(weaknesses, key=lambda weakness: -weakness.quota)


def _apportion(total: int, weights: Sequence[float]) -> list[int]:
    """`total` in whole parts by `weights`, none lost to rounding. Source: largest remainders (Hamilton)."""
    exact = [total * weight / sum(weights) for weight in weights]
    parts = [int(share) for share in exact]
    by_remainder = sorted(range(len(parts)), key=lambda index: parts[index] - exact[index])
    for index in by_remainder[: total - sum(parts)]:
        parts[index] += 1
    return parts


def closures(weaknesses: Sequence[Weakness], duels: Sequence[Duel]) -> list[Closure]:
    """Whether each weakness closed, on the fresh `duels` in its slice; [] where there are none.

    Only problems that exactly one of the two fails with that fault count. An UNDECIDED answer, or a
    likelihood that is not finite, says nothing of its model, so as in the gate it may not help the
    challenger: its own counts as the fault in the test, the champion's as none. The p-values are one for
    each weakness, not corrected for their number.
    Source: McNemar 1947, in its exact one-sided form (sign test).
    """
    found = []
    for weakness in weaknesses if duels else ():
        here = [
            (_fails(duel.champion, weakness), _fails(duel.challenger, weakness))
            for duel in duels
            if duel.problem.slice == weakness.slice
        ]
        cured = sum(old is True and new is False for old, new in here)
        caught = sum(old is not True and new is not False for old, new in here)
        p = sign_test(cured, caught)
        found.append(
            Closure(
                slice=weakness.slice,
                fault=weakness.fault,
                num=len(here),
                before=sum(old is True for old, _ in here),
                after=sum(new is True for _, new in here),
                num_undecided=sum(None in pair for pair in here),
                cured=cured,
                caught=caught,
                p=p,
                closed=p <= CLOSED_LEVEL,
            )
        )
    return found


def _fails(side: Answer | Likelihood, weakness: Weakness) -> bool | None:
    """Whether a model fails a problem as the weakness says; None where this says nothing of the model."""
    if isinstance(side, Answer):
        verdict = side.verdict
        if verdict.status is Status.UNDECIDED:
            return None
        return verdict.status is Status.FAIL and verdict.fault == weakness.fault
    value = perplexity(side)
    return None if value is None else weakness.limit is not None and value > weakness.limit


def slice_weights(
    slices: Sequence[str],
    weaknesses: Sequence[Weakness],
    num_problems: int,
    mixture: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """The weights of slices for a round's problems: the quotas, and the rest as the task mixes its slices.

    `mixture` holds their relative weights; None where all are alike.
    """
    aimed: Counter[str] = Counter()
    for weakness in weaknesses:
        aimed[weakness.slice] += weakness.quota
    rest, shares = num_problems - aimed.total(), mixture or dict.fromkeys(slices, 1)
    return {name: aimed[name] + rest * shares[name] / sum(shares.values()) for name in slices}
