"""What a judge prefers besides the better reply: the one that it is shown first, or the longer one.

Both are measured on the pairs that it judges anyway. An advantage runs from -1 to 1: 0 is none, and 0.3 means
that the judge looks at nothing else in three of ten cases. The win rate at equal length is what is left of it
once the part that length explains is taken away.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit

from engine.gate.preference import advantage, win_rate
from engine.judge.pairwise import Choice, Outcome, Preference
from engine.measure.paired import LEAST_DOCUMENTS, Bounds, design_effect
from engine.measure.stats import interval, normal_quantile
from engine.records import Interval

_SIGNS = {Outcome.WON: 1.0, Outcome.LOST: -1.0, Outcome.TIED: 0.0}
_LEAST_SPREAD = 0.05
"""Range, of the differences of length as the fit takes them, beyond which is longer: less tells nothing."""
_MOST_STEPS, _LONGEST_STEP, _SMALLEST_STEP = 100, 5.0, 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionBias:
    """How far verdicts depend on which reply is shown first."""

    flips: Interval
    """Pairs whose verdict turns with the order: the same place is preferred both times."""
    to_first: int
    """Of them, those that prefer the place shown first."""
    to_second: int
    advantage: Bounds
    """Of the place shown first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthBias:
    """How far preferences go with length."""

    advantage: Bounds | None
    """Of the longer reply; None where no pair has replies of unequal length."""
    at_equal_length: Bounds | None
    """The win rate of the new reply if both were equally long; None where the lengths tell too little, as
    where the same model always says more."""


def sign_of(preference: Preference) -> float:
    """1 where the new reply has won, 0 for a tie, else -1: without a verdict nothing is won."""
    return _SIGNS.get(preference.outcome, -1.0)


def win_rate_of(preferences: Sequence[Preference]) -> Bounds:
    """The share of pairs that the new model wins, a tie counting half; a pair without a verdict is lost.

    Raises StatsError without a pair.
    """
    return win_rate([sign_of(each) for each in preferences], [each.cluster for each in preferences])


def position_bias(preferences: Sequence[Preference]) -> PositionBias | None:
    """The position bias over all pairs with a verdict in both orders; None without one.

    Source: Wang et al. 2023 (arXiv 2305.17926), Zheng et al. 2023 (arXiv 2306.05685).
    """
    judged = [each for each in preferences if each.was_asked and Choice.NONE not in each.choices]
    if not judged:
        return None
    sums = [sum(each.places) for each in judged]
    clusters = [each.cluster for each in judged]
    to_first, to_second = sums.count(2), sums.count(-2)
    effect = design_effect([float(abs(each) == 2) for each in sums], clusters)
    return PositionBias(
        flips=interval(to_first + to_second, len(judged), effect),
        to_first=to_first,
        to_second=to_second,
        advantage=advantage([each / 2 for each in sums], clusters),
    )


def length_bias(preferences: Sequence[Preference]) -> LengthBias:
    """The length bias, and the win rate at equal length.

    Preferences are fitted on the difference of the lengths, as by length-controlled AlpacaEval (Dubois et al.
    2024, arXiv 2404.04475), without its term for the request, which needs many models on the same requests,
    and with one for which reply is longer. A judge that prefers the longer one however little it is longer
    would else look like one that prefers the new one, where that says much more. A pair without a verdict is
    in none of these figures.
    """
    judged = [each for each in preferences if Choice.NONE not in each.choices]
    unequal = [each for each in judged if each.was_asked and each.lengths[0] != each.lengths[1]]
    longer = None
    if unequal:
        favours = [
            _SIGNS[each.outcome] * (1 if each.lengths[1] > each.lengths[0] else -1) for each in unequal
        ]
        longer = advantage(favours, [each.cluster for each in unequal])
    return LengthBias(advantage=longer, at_equal_length=_at_equal_length(judged))


def _at_equal_length(judged: Sequence[Preference]) -> Bounds | None:
    """The win rate where the lengths are equal, by a logistic fit of preferences with ties.

    Penalized as by Firth 1993, so that the fit is finite where one side wins everything (Heinze and Schemper
    2002). A tie counts half, so the likelihood is a quasi-likelihood (Papke and Wooldridge 1996); of the two
    standard errors, the model's and that of clusters (Liang and Zeger 1986), the larger is taken.
    """
    clusters = [each.cluster for each in judged]
    lengths = np.array([each.lengths for each in judged], dtype=np.float64).reshape(-1, 2)
    terms = _terms(lengths[:, 1] - lengths[:, 0])
    if len(set(clusters)) < LEAST_DOCUMENTS or terms is None:
        return None
    wins = np.array([(_SIGNS[each.outcome] + 1) / 2 for each in judged])
    found = _firth(terms, wins)
    at, half = found[0], normal_quantile(0.975) * _errors(terms, wins, found, clusters)[0]
    return Bounds(*(float(expit(bound)) for bound in (at, at - half, at + half)))


def _terms(longer_by: np.ndarray) -> np.ndarray | None:
    """What preferences are fitted on: a constant, which is longer, and by how much where that tells more.

    All but the constant are 0 at equal length. None where length does not vary enough to be told from it.
    """
    signs = np.sign(longer_by)
    if not len(signs) or not np.ptp(signs):
        return None
    terms = np.column_stack([np.ones(len(signs)), signs])
    amounts = np.tanh(longer_by / longer_by.std())
    left = amounts - terms @ np.linalg.lstsq(terms, amounts, rcond=None)[0]
    return np.column_stack([terms, amounts]) if np.ptp(left) >= _LEAST_SPREAD else terms


def _firth(terms: np.ndarray, wins: np.ndarray) -> np.ndarray:
    """Coefficients of the penalized fit, by Newton's method with steps that never lead down."""
    found = np.zeros(terms.shape[1])
    reached = _penalized(terms, wins, found)
    for _ in range(_MOST_STEPS):
        share = expit(terms @ found)
        weights = share * (1 - share)
        inverse = np.linalg.inv(_information(terms, share))
        leverage = weights * np.einsum("ij,jk,ik->i", terms, inverse, terms)
        step = inverse @ (terms.T @ (wins - share + leverage * (0.5 - share)))
        step *= min(1.0, _LONGEST_STEP / max(float(np.abs(step).max()), _SMALLEST_STEP))
        while np.abs(step).max() > _SMALLEST_STEP and _penalized(terms, wins, found + step) < reached:
            step = step / 2
        if np.abs(step).max() <= _SMALLEST_STEP:
            break
        found = found + step
        reached = _penalized(terms, wins, found)
    return found


def _penalized(terms: np.ndarray, wins: np.ndarray, at: np.ndarray) -> float:
    """The logarithm of the penalized likelihood."""
    odds = terms @ at
    fit = wins * log_expit(odds) + (1 - wins) * log_expit(-odds)
    return float(fit.sum() + np.linalg.slogdet(_information(terms, expit(odds)))[1] / 2)


def _information(terms: np.ndarray, share: np.ndarray) -> np.ndarray:
    return terms.T @ ((share * (1 - share))[:, None] * terms)


def _errors(terms: np.ndarray, wins: np.ndarray, found: np.ndarray, clusters: Sequence[str]) -> np.ndarray:
    """The standard error of each coefficient."""
    share = expit(terms @ found)
    inverse = np.linalg.inv(_information(terms, share))
    names = {name: place for place, name in enumerate(dict.fromkeys(clusters))}
    sums = np.zeros((len(names), terms.shape[1]))
    np.add.at(sums, [names[name] for name in clusters], (wins - share)[:, None] * terms)
    robust = inverse @ (sums.T @ sums) @ inverse * (len(names) / max(len(names) - 1, 1))
    return np.sqrt(np.maximum(np.diag(inverse), np.diag(robust)))
