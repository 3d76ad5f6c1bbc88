"""Statistics behind every claim that need counts alone: intervals, corrected tests.

Pure functions over counts, exact where that is cheap; no sampling of models, no files. Try it:
``python -c "from engine.measure.stats import interval; print(interval(42, 50))"``.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

from engine.records import Interval

normal_quantile = NormalDist().inv_cdf


class StatsError(ValueError):
    """The counts or samples allow no statistic."""


def interval(passed: int, num: int, effect: float = 1.0) -> Interval:
    """A proportion with its two-sided 95 % score interval, for figures that people read.

    Where trials are not independent, `effect` is how many times as uncertain the proportion is as it would be
    if they were (`engine.measure.paired.design_effect`). Without trials the rate is 0 and the interval is
    [0, 1]. Raises StatsError unless 0 <= passed <= num. Source: Wilson 1927.
    """
    if not 0 <= passed <= num:
        raise StatsError(f"passed must lie between 0 and the number of trials {num}, got {passed}")
    if num == 0:
        return Interval(rate=0.0, low=0.0, high=1.0, num=0)
    z, rate, worth = normal_quantile(0.975), passed / num, num / effect
    middle = (rate + z * z / (2 * worth)) / (1 + z * z / worth)
    half = z / (1 + z * z / worth) * math.sqrt(rate * (1 - rate) / worth + z * z / (4 * worth * worth))
    # At its ends the interval reaches 0 and 1 exactly; rounding must not leave the rate outside.
    low = 0.0 if passed == 0 else middle - half
    high = 1.0 if passed == num else middle + half
    return Interval(rate=rate, low=low, high=high, num=num)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given: keeping those <= q keeps the false discovery rate <= q.

    Source: Benjamini and Hochberg 1995.
    """
    adjusted, smallest = [0.0] * len(p_values), 1.0
    by_size = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for rank in range(len(by_size), 0, -1):
        index = by_size[rank - 1]
        smallest = min(smallest, p_values[index] * len(p_values) / rank)
        adjusted[index] = smallest
    return adjusted


def fisher_greater(hits: int, num: int, other_hits: int, other_num: int) -> float:
    """One-sided exact p-value that `hits` of `num` is a higher rate than `other_hits` of `other_num`.

    Raises StatsError for counts that do not fit. Source: Fisher 1935 (hypergeometric tail, in integers).
    """
    if not (0 <= hits <= num and 0 <= other_hits <= other_num):
        raise StatsError(f"{hits} of {num} against {other_hits} of {other_num} are not two proportions")
    all_hits = hits + other_hits
    most = min(num, all_hits)
    tail = sum(math.comb(num, k) * math.comb(other_num, all_hits - k) for k in range(hits, most + 1))
    return tail / math.comb(num + other_num, all_hits)


def sign_test(wins: int, losses: int) -> float:
    """One-sided exact p-value that more than half of the discordant pairs are won; 1 where there is none.

    Source: McNemar 1947, in its exact form.
    """
    speaking = wins + losses
    ways = tail = math.comb(speaking, wins)
    for won in range(wins, speaking):
        ways = ways * (speaking - won) // (won + 1)
        tail += ways
    return tail / 2**speaking
