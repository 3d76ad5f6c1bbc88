"""Is the new model better than the old one, by results on the same items? The gate's test without a campaign.

    from engine.gate.compare import compare
    from engine.gate.outcome_files import read_pair

    comparison = compare(*read_pair(Path("old.jsonl"), Path("new.jsonl")))
    comparison = compare({"q1": True, "q2": False}, {"q1": True, "q2": True})

Pure functions over outcomes. `engine/gate/loop_ledger.py` shares an error budget over many comparisons.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from engine.gate.outcomes import CompareError, Kind, Outcomes, of_values
from engine.gate.side_by_side import SideBySide, SliceCount
from engine.terminal import counted

_LEAST_ALPHA = 1e-12
"""Far smaller ones are lost where they are taken from 1."""


class Answer(StrEnum):
    """What a comparison, or a call of a ledger, concludes."""

    BETTER = "better"
    WORSE = "worse"
    NO_WORSE = "no worse"
    NOT_SHOWN = "not shown"
    ACCEPT = "accept"
    REFUSE = "refuse"
    CONTINUE = "continue"
    PROVEN = "proven"
    CARRIED = "carried"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two models on the same items. Gains are positive where the new model is better."""

    verdict: Answer
    measure: str
    kind: Kind
    falls: bool
    """Whether lower is better."""
    filter: str
    """That of lm-evaluation-harness, as in the outcomes."""
    unit: str
    """Of the means of a likelihood: token, word or byte; empty where they are of items."""
    num_items: int
    num_stories: int | None
    """Clusters, where items have stories; None where each stands for itself."""
    num_undecided: int
    """Items that either model has no result of. `won`, `lost`, `p` and the gain of passes count them against
    the new model, `p_worse` for it."""
    undecided: tuple[int, int]
    """Items that the old model has no result of, and that the new one has none of."""
    won: int
    """Items on which the new model is better."""
    lost: int
    old: float | None
    """Share of all items that the old model passed, or mean of the items that have a score of both, as in its
    file; None where no item has."""
    new: float | None
    gain: float | None
    """A share of items for passes, the least that it can be where some are undecided; else the difference of
    the means, in the measure's own unit."""
    low: float | None
    """Its two-sided interval; None where the items are too few or too alike for one."""
    high: float | None
    confidence: float
    p: float
    """One-sided exact p-value of the new model being better."""
    p_worse: float
    """The same the other way round."""
    level: float
    """Largest p that shows it."""
    both_ways: bool
    """Whether worse is tested as well."""
    margin: float | None = None
    """Non-inferiority: the drop that would matter. None: superiority."""
    bound: float | None = None
    """Non-inferiority: upper bound of the drop, one-sided at `level`."""
    chance: float | None = None
    """Non-inferiority of passes: the chance to show it where nothing has changed."""
    detectable: float | None = None
    """Superiority: what is shown with 80 % power; None where nothing is. For passes the smallest gain, for
    scores the smallest share of the items that differ which the new model wins."""
    items_won: tuple[str, ...]
    """Ids, those that changed most first."""
    items_lost: tuple[str, ...]
    slices: tuple[SliceCount, ...]
    notes: tuple[str, ...]


def compare(
    old: Outcomes | Mapping[Any, Any],
    new: Outcomes | Mapping[Any, Any],
    *,
    alpha: float = 0.05,
    level: float | None = None,
    margin: float | None = None,
) -> Comparison:
    """Compare two models by their outcomes, or mappings of ids to true, false, a score or None (undecided).

    Without a `level`, better and worse are both tested, each at `alpha` / 2, so that the chance of a wrong
    verdict where the models are alike is at most `alpha`. With a `level`, only better is, at that level. A
    `margin` asks instead whether the new model is no worse by more than this: a share of items for passes, in
    the measure's own unit otherwise. Items with a story are tested by story. Raises CompareError.

    Sources: McNemar 1947 (exact); for stories the randomization test of Fisher 1935; Tango 1998 (interval and
    margin), with the design effect of Rao and Scott 1992; Efron and Tibshirani 1993 (interval of means).
    """
    old, new = _paired(old, new)
    both = SideBySide.of(old, new)
    _require_sense(both.kind, alpha, level, margin)
    both_ways = level is None and margin is None
    level = level if level is not None else alpha / 2 if both_ways else alpha
    p, p_worse = both.p_value(), both.p_value(worse=True)
    bound = None if margin is None else both.drop_bound(level)
    means, interval = both.means or (None, None), both.interval(alpha) or (None, None)
    shown = [-mean if old.falls and mean is not None else mean for mean in means]
    return Comparison(
        verdict=_verdict(p, p_worse if both_ways else 1.0, level, margin, bound),
        measure=old.measure,
        kind=both.kind,
        falls=old.falls,
        filter=old.filter or new.filter,
        unit=both.unit,
        num_items=len(both.names),
        num_stories=both.num_stories if both.clustered else None,
        num_undecided=both.num_undecided,
        undecided=both.undecided,
        won=both.signs.count(1),
        lost=both.signs.count(-1),
        old=shown[0],
        new=shown[1],
        gain=both.gain,
        low=interval[0],
        high=interval[1],
        confidence=1 - alpha,
        p=p,
        p_worse=p_worse,
        level=level,
        both_ways=both_ways,
        margin=margin,
        bound=bound,
        chance=None if margin is None else both.chance_of_no_worse(margin, level),
        detectable=both.detectable(level) if margin is None else None,
        items_won=both.changed(1),
        items_lost=both.changed(-1),
        slices=both.slices(),
        notes=_notes(old, new, both),
    )


def _paired(*given: Outcomes | Mapping[Any, Any]) -> tuple[Outcomes, Outcomes]:
    """The outcomes of both models.

    Ones and zeros of a mapping are passes where the other model's results are true and false.
    """
    old, new = (
        each if isinstance(each, Outcomes) else of_values(each, source)
        for each, source in zip(given, ("old", "new"), strict=True)
    )
    passes = Kind.PASS.value
    if new.measure == passes and not isinstance(given[0], Outcomes) and _only_passes(old):
        old = replace(old, measure=passes, kind=Kind.PASS)
    if old.measure == passes and not isinstance(given[1], Outcomes) and _only_passes(new):
        new = replace(new, measure=passes, kind=Kind.PASS)
    return old, new


def _only_passes(outcomes: Outcomes) -> bool:
    return all(item.value in (None, 0.0, 1.0) for item in outcomes.items.values())


def _require_sense(kind: Kind, alpha: float, level: float | None, margin: float | None) -> None:
    require_alpha(alpha)
    if level is not None:
        require_share(level, "level")
    if margin is not None:
        require_margin(margin, kind)


def require_alpha(alpha: float) -> None:
    """Refuse a chance that is none, or too small to compute with. Raises CompareError."""
    require_share(alpha, "alpha")
    if alpha < _LEAST_ALPHA:
        raise CompareError(f"alpha must be at least {_LEAST_ALPHA:g}, got {alpha:g}")


def require_share(value: float, name: str) -> None:
    """Refuse what does not lie between 0 and 1. Raises CompareError."""
    if not 0 < value < 1:
        raise CompareError(f"{name} must lie between 0 and 1, got {value:g}")


def require_margin(margin: float, kind: Kind) -> None:
    """Refuse a margin that makes no sense for what is compared. Raises CompareError."""
    if kind is Kind.PASS:
        require_share(margin, "a margin, which is a share of items,")
    elif not 0 < margin < float("inf"):
        raise CompareError(f"a margin, in the measure's own unit, must be above 0, got {margin:g}")


def _verdict(p: float, p_worse: float, level: float, margin: float | None, bound: float | None) -> Answer:
    if margin is not None:
        return Answer.NO_WORSE if bound is not None and bound < margin else Answer.NOT_SHOWN
    if p <= level:
        return Answer.BETTER
    return Answer.WORSE if p_worse <= level else Answer.NOT_SHOWN


def _notes(old: Outcomes, new: Outcomes, both: SideBySide) -> tuple[str, ...]:
    """What a reader should know besides."""
    notes = []
    if both.num_undecided == len(both.names):
        notes.append("no item has a result of both models: won and lost only say how undecided items count")
    asked = [(old.prompts.get(name), new.prompts.get(name)) for name in old.items]
    if others := sum(bool(before and after) and before != after for before, after in asked):
        notes.append(f"the two models were asked {counted(others, 'item')} in different words (prompt_hash)")
    if old.task and new.task and old.task != new.task:
        notes.append(f"samples of two tasks, {old.task} and {new.task}, with the same documents")
    if old.reported and new.reported:
        figures = [f"{mean:.4g} ± {error:.2g}" for mean, error in (old.reported, new.reported)]
        notes.append(f"mean ± standard error as lm-evaluation-harness reports them: {' and '.join(figures)}")
    if old.others:
        notes.append(f"measured by {old.measure}; there is also {', '.join(old.others)}")
    return tuple(notes)
