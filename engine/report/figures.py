"""Chooses which figures of a run's evaluations a page shows, and sets them side by side."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.measure import diversity
from engine.records import Evaluation, Figure, Interval, RoundRecord

_SAMPLED_ONLY = {"distinct"}
"""Keys of figures that say nothing about a single greedy answer."""
_JUDGED = (("gate", "sampled"), ("carry", "carry_sampled"))
"""Places where a round measures two models on the same problems: greedy, and with several samples."""


class Column(NamedTuple):
    """A figure that is shown for every model of a run."""

    key: str
    title: str
    note: str
    unit: str
    sampled: bool
    """Whether it takes several samples of each problem."""
    k: int
    """Samples of each problem; 0 if evaluations differ in it."""

    def of(self, evaluation: Evaluation | None) -> Interval | float | None:
        """The figure's value in an evaluation; None if it was not measured there."""
        return value_of(evaluation, self.key)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A table of models side by side, with a line for each figure."""

    where: str
    who: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Figure | None, ...]], ...]
    """The figure's title, and the figure of each model."""


def value_of(evaluation: Evaluation | None, key: str) -> Interval | float | None:
    """Return the value of a figure; None if it was not measured."""
    figure = _figure(evaluation, key)
    return figure.value if figure else None


def text_of(figure: Figure) -> str:
    """Write a figure for a heading or a log line, such as ``35 %`` or ``1.23 nats``."""
    if figure.unit == "share":
        return f"{100 * figure.number:.0f}\u00a0%"
    if figure.unit == "tokens":
        return f"{figure.number:.0f}\u00a0tokens"
    return f"{figure.number:.4g}" + (f"\u00a0{figure.unit}" if figure.unit else "")


def headline_of(evaluation: Evaluation) -> str:
    """The headline in a line of text, such as ``passed 35 %``."""
    return f"{evaluation.head.title} {text_of(evaluation.head)}".replace("\u00a0", " ")


def columns(greedy: Iterable[Evaluation], sampled: Iterable[Evaluation]) -> list[Column]:
    """List the shares and headlines of evaluations in order: those of greedy answers, then the others.

    How varied texts are says nothing from one draw to another, so it only stands beside a rival.
    """
    found: dict[str, Column] = {}
    for evaluations, is_sampled in ((greedy, False), (sampled, True)):
        fresh: dict[str, Column] = {}
        for evaluation in evaluations:
            for figure in evaluation.figures:
                shown = figure.unit == "share" or figure.key == evaluation.headline
                shown = shown and figure.key not in diversity.KEYS
                if not shown or figure.key in found:
                    continue
                title, k = figure.title, evaluation.k
                if (known := fresh.get(figure.key)) and (known.title, known.k) != (title, k):
                    # For example, one evaluation took 4 samples of each problem and another took 8.
                    title, k = figure.key.replace("_", " "), 0
                fresh[figure.key] = Column(figure.key, title, figure.note, figure.unit, is_sampled, k)
        found |= fresh
    return list(found.values())


def comparisons(record: RoundRecord) -> list[Comparison]:
    """Compare the models of a round: where they were judged, then wherever else its loop measured them."""
    found = []
    for places in _JUDGED:
        sides = tuple(dict.fromkeys(it.who for it in record.measured if it.where in places))
        if not sides:
            continue
        greedy, sampled = ([record.evaluation(who, where) for who in sides] for where in places)
        lines = [*_lines(greedy, leave_out=_SAMPLED_ONLY), *_undecided(greedy)]
        shown = {figure.key for evaluation in greedy if evaluation for figure in evaluation.figures}
        lines += _lines(sampled, leave_out=shown - _SAMPLED_ONLY)
        found.append(Comparison(places[0], sides, tuple(lines)))
    judged = {"probe", *_JUDGED[0], *_JUDGED[1]}
    for where in dict.fromkeys(it.where for it in record.measured if it.where not in judged):
        here = {it.who: it.evaluation for it in record.measured if it.where == where}
        found.append(Comparison(where, tuple(here), tuple(_lines(list(here.values()), leave_out=set()))))
    return found


def _lines(
    evaluations: Sequence[Evaluation | None], leave_out: set[str]
) -> list[tuple[str, tuple[Figure | None, ...]]]:
    figures = [figure for evaluation in evaluations if evaluation for figure in evaluation.figures]
    titles = {figure.key: figure.title for figure in reversed(figures) if figure.key not in leave_out}
    return [
        (titles[key], tuple(_figure(each, key) for each in evaluations))
        for key in dict.fromkeys(figure.key for figure in figures)
        if key in titles
    ]


def _undecided(evaluations: Sequence[Evaluation | None]) -> list[tuple[str, tuple[Figure | None, ...]]]:
    if not any(evaluations):
        return []
    nums = [
        Figure(key="undecided", title="", value=float(each.num_undecided), unit="") if each else None
        for each in evaluations
    ]
    return [("undecided answers", tuple(nums))]


def _figure(evaluation: Evaluation | None, key: str) -> Figure | None:
    return next((it for it in evaluation.figures if it.key == key), None) if evaluation else None
