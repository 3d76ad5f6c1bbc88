"""Preference pairs: those whose two sides are the same, or differ in length alone, teach no preference."""

from collections.abc import Sequence

from configs.curation import Pairs
from engine.corpus.removal import Removal
from engine.corpus.stations import Sorted, removal_of, sorted_by
from engine.curate.likeness import pieces, told_apart
from engine.tasks.examples import Example

_LEAST_SHARED = 8
"""Words of the shorter side, or characters of Chinese and Japanese, from which being the other's beginning or
end is no chance."""
_LEAST_LONG = 30
"""Words of the longer side from which the ratio counts: a word and three say nothing about length."""


class PairStation:
    """Leaves out pairs that teach nothing, or only how long to write."""

    name = "pairs"

    def __init__(self, settings: Pairs) -> None:
        self._settings = settings

    def __call__(self, examples: Sequence[Example]) -> Sorted:
        return sorted_by(self.judge, examples)

    def judge(self, example: Example) -> Example | Removal:
        """The example itself, or its removal: ``same_sides``, ``length_only`` or ``length_gap``."""
        if example.kind != "pair":
            return example
        if told_apart(example.chosen) == told_apart(example.rejected):
            fault, reason = "same_sides", "both sides say the same"
        else:
            fault, reason = self._by_length(*sorted(map(pieces, (example.chosen, example.rejected)), key=len))
        return removal_of(example, station=self.name, fault=fault, reason=reason) if fault else example

    def _by_length(self, short: list[str], long: list[str]) -> tuple[str, str]:
        """The fault of two sides that differ, and its reason; both empty where there is none."""
        num, most = len(short), self._settings.length_ratio
        if _LEAST_SHARED <= num < len(long) and short in (long[:num], long[-num:]):
            where = "beginning" if short == long[:num] else "end"
            return "length_only", f"one side is the {where} of the other: {num} of {len(long)} words"
        if len(long) >= _LEAST_LONG and len(long) > most * num:
            return "length_gap", f"{len(long)} words against {num}; pairs.length_ratio is {most:g}"
        return "", ""
