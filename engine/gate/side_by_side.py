"""Two models' outcomes, item by item: who is better where, and what that amounts to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from engine.gate.outcomes import CompareError, Item, Kind, Outcomes, require_same_items
from engine.measure import paired
from engine.measure.sequential import detectable_gain, detectable_share
from engine.measure.stats import sign_test
from engine.terminal import counted


class SliceCount(NamedTuple):
    """How the items of one slice, or of one task, changed."""

    name: str
    num_items: int
    won: int
    lost: int


class Decided(NamedTuple):
    """An item with a result of both models."""

    old: float
    new: float
    size: float
    story: str


def _mean(values: Sequence[float], total: float) -> float:
    """Their sum over `total`, also where the sum itself is no finite number."""
    mean = sum(values) / total
    return mean if math.isfinite(mean) else sum(each / total for each in values)


@dataclass(frozen=True)
class SideBySide:
    """Two models on the same items."""

    names: Sequence[str]
    pairs: Sequence[tuple[Item, Item]]
    """Of each item the old model's result and the new one's."""
    stories: Sequence[str]
    """The cluster of each item: its story, or itself."""
    kind: Kind
    unit: str
    """What sizes count; empty where a likelihood is that of a whole item."""

    @classmethod
    def of(cls, old: Outcomes, new: Outcomes) -> "SideBySide":
        """Pair two models' outcomes. Raises CompareError where they are not of the same items."""
        require_same_items(old, new)
        names = list(old.items)
        pairs = [(old.items[name], new.items[name]) for name in names]
        is_pass = not old.falls and Kind.LIKELIHOOD not in (old.kind, new.kind)
        is_pass = is_pass and all(each.value in (None, 0.0, 1.0) for pair in pairs for each in pair)
        # Tokens of two tokenizers are not one unit.
        sized = all(a.size is not None and a.size == b.size for a, b in pairs)
        told = [a.story or b.story for a, b in pairs]
        stories = [f"story {told[at]}" if told[at] else f"item {name}" for at, name in enumerate(names)]
        kind = Kind.PASS if is_pass else Kind.LIKELIHOOD if old.kind is Kind.LIKELIHOOD else Kind.SCORE
        return cls(names, pairs, stories, kind, old.unit if sized else "")

    @cached_property
    def num_stories(self) -> int:
        """Number of clusters; as many as items where each stands for itself."""
        return len(set(self.stories))

    @property
    def clustered(self) -> bool:
        return self.num_stories < len(self.names)

    @property
    def num_undecided(self) -> int:
        """Items that either model has no result of."""
        return sum(old.value is None or new.value is None for old, new in self.pairs)

    @property
    def undecided(self) -> tuple[int, int]:
        """Items that each model has no result of."""
        lacks = [sum(each.value is None for each in side) for side in zip(*self.pairs, strict=True)]
        return lacks[0], lacks[1]

    @cached_property
    def signs(self) -> list[int]:
        """For each item 1 where the new model is better, -1 where the old one is, 0 for neither.

        Undecided counts against the new model: as not passed where it is its own, as passed where it is the
        old one's. A score of the old model that is undecided lets nobody win.
        """
        return [self._sign(old, new) for old, new in self.pairs]

    def _sign(self, old: Item, new: Item) -> int:
        if self.kind is Kind.PASS:
            before, after = 1.0 if old.value is None else old.value, new.value or 0.0
        elif new.value is None:
            return -1
        else:
            before, after = new.value if old.value is None else old.value, new.value
        return (after > before) - (after < before)

    def p_value(self, *, worse: bool = False) -> float:
        """One-sided exact p-value of the new model being better, or of the old one.

        What is undecided counts against the model that is to be shown better.
        """
        signs = [self._sign(new, old) for old, new in self.pairs] if worse else self.signs
        if not self.clustered:
            return sign_test(signs.count(1), signs.count(-1))
        return paired.sign_flip_test([round(each) for each in paired.by_cluster(signs, self.stories)])

    @cached_property
    def means(self) -> tuple[float, float] | None:
        """Of passes the share of all items that each model passed; of scores the mean over items with both.

        None where no item has a score of both.
        """
        if self.kind is Kind.PASS:
            passed = [sum(each.value or 0.0 for each in side) for side in zip(*self.pairs, strict=True)]
            return passed[0] / len(self.pairs), passed[1] / len(self.pairs)
        if not (decided := self._decided):
            return None
        total = sum(each.size for each in decided)
        return _mean([each.old for each in decided], total), _mean([each.new for each in decided], total)

    @property
    def gain(self) -> float | None:
        """New less old; of passes the least that it can be, whatever the undecided items are.

        None where no item has a score of both, and where it is no finite number.
        """
        if self.kind is Kind.PASS:
            return (self.signs.count(1) - self.signs.count(-1)) / len(self.signs)
        gain = self.means and self.means[1] - self.means[0]
        return gain if gain is not None and math.isfinite(gain) else None

    @cached_property
    def _decided(self) -> list[Decided]:
        return [
            Decided(old.value, new.value, float(old.size or 1) if self.unit else 1.0, story)
            for (old, new), story in zip(self.pairs, self.stories, strict=True)
            if old.value is not None and new.value is not None
        ]

    def _changes(self) -> tuple[list[float], list[float]]:
        """The change and the size of each cluster."""
        clusters = [each.story for each in self._decided]
        changes = paired.by_cluster([each.new - each.old for each in self._decided], clusters)
        return changes, paired.by_cluster([each.size for each in self._decided], clusters)

    @cached_property
    def _effective(self) -> tuple[float, float, float]:
        """Items won, lost and all: as many independent ones as would tell as much."""
        effect = paired.design_effect(self.signs, self.stories)
        won, lost = self.signs.count(1) / effect, self.signs.count(-1) / effect
        # Three quotients are rounded apart: where all items differ, won and lost must not be more than all.
        return won, lost, max(len(self.signs) / effect, won + lost, 1.0)

    @property
    def _has_few_stories(self) -> bool:
        return self.clustered and self.num_stories < paired.LEAST_DOCUMENTS

    def interval(self, alpha: float) -> tuple[float, float] | None:
        """The gain's two-sided interval.

        None for fewer than 8 clusters, where scores differ nowhere, and where they change by too much.
        """
        if self.kind is Kind.PASS:
            if self._has_few_stories:
                return None
            won, lost, num = self._effective
            low = -paired.paired_drop_bound(lost, won, num, alpha / 2)
            return low, paired.paired_drop_bound(won, lost, num, alpha / 2)
        changes, sizes = self._changes()
        if len(changes) < paired.LEAST_DOCUMENTS or not paired.are_computable(changes):
            return None
        bounds = paired.mean_change(changes, sizes, alpha)
        return (bounds.low, bounds.high) if bounds.low < bounds.high else None

    def drop_bound(self, level: float) -> float:
        """The drop's upper bound, one-sided at `level`. Raises CompareError where none can be given."""
        if self.kind is Kind.PASS:
            if self._has_few_stories:
                raise CompareError(
                    f"a margin needs at least {paired.LEAST_DOCUMENTS} stories, got {self.num_stories}"
                )
            won, lost, num = self._effective
            return paired.paired_drop_bound(lost, won, num, level)
        changes, sizes = self._changes()
        if self.num_undecided or len(changes) < paired.LEAST_DOCUMENTS:
            undecided = counted(self.num_undecided, "item")
            raise CompareError(
                f"a margin of means needs at least {paired.LEAST_DOCUMENTS} items or stories, and results of "
                f"both models for each item, got {len(changes)}, and {undecided} undecided"
            )
        if not paired.are_computable(changes):
            raise CompareError(
                f"a margin of means needs results that differ by at most {paired.LARGEST:g}: where there is "
                f"no result, write null"
            )
        return -paired.mean_change(changes, sizes, 2 * level).low

    def detectable(self, level: float) -> float | None:
        """What is shown with 80 % power, if models differ on other items as often as now.

        For passes a net share of items won, for scores the share that is won of the items that differ.
        """
        won, lost, num = self._effective
        if self.kind is not Kind.PASS:
            return detectable_share(level, round(num), (won + lost) / num)
        return detectable_gain(
            level=level,
            looks=1,
            look_size=round(num),
            win_share=2 / 3,
            futility=0.0,
            spending=1.0,
            discordance_lost=min(won, lost) / num,
        )

    def chance_of_no_worse(self, margin: float, level: float) -> float | None:
        """The chance to show that a model which is no other is no worse, if as many change sides as now."""
        if self.kind is not Kind.PASS:
            return None
        won, lost, num = self._effective
        return paired.paired_drop_power(round(num), margin, (won + lost) / num or paired.CHANGED, level)

    def changed(self, sign: int) -> tuple[str, ...]:
        """Ids of the items won or lost, those that changed most first."""
        found = [
            (-abs((new.value or 0.0) - (old.value or 0.0)), number)
            for number, (old, new) in enumerate(self.pairs)
            if self.signs[number] == sign
        ]
        return tuple(self.names[number] for _, number in sorted(found))

    def slices(self) -> tuple[SliceCount, ...]:
        """Counts by slice, or by task; none where there is only one."""
        counts: dict[str, list[int]] = {}
        for (old, new), sign in zip(self.pairs, self.signs, strict=True):
            counts.setdefault(old.slice or new.slice, []).append(sign)
        if len(counts) < 2:
            return ()
        return tuple(
            SliceCount(name or "(none)", len(signs), signs.count(1), signs.count(-1))
            for name, signs in sorted(counts.items())
        )
