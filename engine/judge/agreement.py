"""How far raters agree, beyond what chance would have them."""

from collections import Counter
from collections.abc import Hashable, Sequence


def krippendorff_alpha(units: Sequence[Sequence[Hashable]]) -> float | None:
    """Krippendorff's alpha for nominal categories: 1 where all raters agree, 0 where they agree as by chance.

    Each unit has the categories that its raters gave it, and raters may have left it out. None where no unit
    has two, and where only one category was ever given, so that nobody could disagree. Source: Krippendorff
    2011, Computing Krippendorff's Alpha-Reliability.
    """
    counts = [Counter(unit) for unit in units if len(unit) > 1]
    total = sum(counts, Counter[Hashable]())
    num = total.total()
    expected = _unequal(total)
    if not expected:
        return None
    observed = sum(_unequal(count) / (count.total() - 1) for count in counts)
    return 1 - (num - 1) * observed / expected


def _unequal(counts: Counter[Hashable]) -> int:
    """Ordered pairs of values of different categories."""
    return counts.total() ** 2 - sum(count**2 for count in counts.values())
