"""Writes the report of an experiment: one self-contained HTML page and its log, from the run's files alone.

    ratchet report RUN

Both can be written at any time, even while trials run. `experiment_data.py` reads, `findings.py` compares,
`lessons.py` finds the words, this file selects and places, `experiment.html.j2` draws.
"""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from engine.report.page import write_page
from tune.effects import Range
from tune.evidence import ALL, WEAK
from tune.experiment_data import read_experiment
from tune.findings import Comparison, Curve, Findings, findings_of
from tune.ground import CHAMPION
from tune.lessons import headline, lessons, observations
from tune.listing import PAGE
from tune.log import resources, write_log
from tune.watched import varied_in, worst_of
from tune.words import UNITS, difference_text, number, saving, spread

STATES = ("finished", "under way", "failed")
_WIDEST_RATIO = 16.0
"""Data ratios are drawn from one over this to this."""


class Mark(NamedTuple):
    """A mean with its intervals on a chart's axis, cut off where it leaves the axis."""

    label: str
    title: str
    """Everything in words, for a pointer and for those who hear the page."""
    mean: float
    wide: Range
    """Over seeds and problems."""
    narrow: Range
    """Over seeds alone."""
    shown: bool
    """Whether the wide interval leaves zero, or one, out."""


class Axis(NamedTuple):
    """The scale of a chart of marks."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    middle: float
    """Where there is no difference."""


def write_experiment_report(run_dir: Path) -> Path:
    """Write `experiment.html` and `experiment.yaml` into an experiment's directory; returns the page's path.

    Replaces older ones in one step each. Raises ReportError or ConfigError if it is none, or is damaged.
    """
    files = read_experiment(run_dir)
    evidence = files.evidence
    found = findings_of(evidence) if evidence else None
    write_log(run_dir, files, found)
    settings = files.design.settings
    states = Counter[str](trial.status for trial in files.trials)
    return write_page(
        run_dir / PAGE,
        Path(__file__).with_name("experiment.html.j2"),
        data=files,
        settings=settings,
        found=found,
        headline=headline(evidence, found) if evidence and found else "Nothing is measured yet",
        observations=observations(evidence, found) if evidence and found else [],
        lessons=lessons(evidence, found) if evidence and found else [],
        counts=[(state, states[state]) for state in STATES if states[state]],
        kinds=[(kind, where) for kind, where in (("weak", WEAK), ("all", ALL)) if _drawn(found, kind)],
        curves=lambda kind: [each for each in found.curves if each.kind == kind] if found else [],
        heights=heights,
        marks=lambda kind: marks(found, kind, settings.control) if found else [],
        axis=lambda drawn: axis(drawn, found.unit, settings.matters) if found else None,
        ratios=lambda kind: ratio_marks(found, kind) if found else [],
        ratio_axis=ratio_axis(),
        of=lambda kind, against: (
            [each for each in found.comparisons if (each.kind, each.against) == (kind, against)]
            if found
            else []
        ),
        slices=slices(found, settings.control) if found else [],
        against={each.number: each for each in found.against_champion} if found else {},
        varied=varied_in(files.broken, settings.arms),
        worst=worst_of(files.broken),
        resources=resources(files),
        champion=CHAMPION,
        interval=spread,
        number=number,
        saving=saving,
        units=UNITS,
        score_of=score_of,
    )


def _drawn(found: Findings | None, kind: str) -> bool:
    return found is not None and any(each.kind == kind for each in found.curves)


def score_of(value: float, unit: str) -> str:
    """A mean score for people: per cent, or nats a token."""
    return f"{100 * value:.0f} %" if unit == "share" else f"{-value:.3f}"


def heights(curves: Sequence[Curve]) -> tuple[float, float]:
    """The lowest and the highest score of curves and whiskers, with a margin; shares stay between 0 and 1."""
    values = [
        value
        for curve in curves
        for mean, each in zip(curve.means, curve.ranges, strict=True)
        for value in (mean, each.low, each.high)
        if math.isfinite(value)
    ]
    low, high = min(values), max(values)
    if min(mean for curve in curves for mean in curve.means) >= 0:
        return 0.0, min(1.0, max(1.1 * high, 0.05))
    pad = 0.1 * (high - low) or 0.01
    return low - pad, high + pad


def marks(found: Findings, kind: str, control: str) -> list[Mark]:
    """Every arm less the control in one place."""
    return [
        Mark(
            label=each.arm,
            title=f"{each.arm} against {control}: {difference_text(each.effect, each.unit)}",
            mean=each.effect.mean,
            wide=each.effect.both,
            narrow=each.effect.over_seeds,
            shown=each.effect.both.low > 0 or each.effect.both.high < 0,
        )
        for each in found.comparisons
        if (each.kind, each.against) == (kind, control)
    ]


def axis(drawn: Sequence[Mark], unit: str, matters: float) -> Axis:
    """An axis wide enough for all means and, up to three times as far, for their intervals."""
    reach = max([matters, *(abs(mark.mean) for mark in drawn)])
    ends = [min(abs(value), 3 * reach) for mark in drawn for value in (mark.wide.low, mark.wide.high)]
    most = 1.08 * max([reach, *ends])
    step = 10 ** math.floor(math.log10(most))
    step = next(step * factor for factor in (0.5, 1, 2, 5) if most / (step * factor) <= 3.5)
    places = [step * index for index in range(-int(most / step), int(most / step) + 1)]
    shown = [(place, number(place, "share" if unit == "share" else "nats")) for place in places]
    labels = [(place, "0" if place == 0 else text.removesuffix(".0")) for place, text in shown]
    return Axis(-most, most, labels, 0.0)


def ratio_marks(found: Findings, kind: str) -> list[Mark]:
    """Data ratios as powers of two, cut off at the ends of their axis."""
    return [
        Mark(
            label=each.arm,
            title=f"{each.arm}: data ratio {saving(each.ratio)}",
            mean=_power(each.ratio.value),
            wide=_powers(each.ratio.both),
            narrow=_powers(each.ratio.over_seeds),
            shown=each.ratio.both.low > 1 or each.ratio.both.high < 1,
        )
        for each in found.savings
        if each.kind == kind and each.ratio.value is not None
    ]


def ratio_axis() -> Axis:
    """The axis of data ratios, in powers of two."""
    most = math.log2(_WIDEST_RATIO)
    places = {"1/8": 1 / 8, "1/2": 1 / 2, "1": 1, "2": 2, "8": 8}
    return Axis(-most, most, [(math.log2(place), label) for label, place in places.items()], 0.0)


def _power(ratio: float | None) -> float:
    if not ratio:
        return -math.inf
    return math.log2(ratio) if math.isfinite(ratio) else math.inf


def _powers(interval: Range) -> Range:
    return Range(low=_power(interval.low), high=_power(interval.high))


class Slice(NamedTuple):
    """One slice of the problems: every arm less the control, by arm."""

    name: str
    num_problems: int
    by_arm: dict[str, Comparison]


def slices(found: Findings, control: str) -> list[Slice]:
    """The slices in the order of their names."""
    rows: dict[str, dict[str, Comparison]] = {}
    for each in found.comparisons:
        if (each.kind, each.against) == ("slice", control):
            rows.setdefault(each.where, {})[each.arm] = each
    return [Slice(name, next(iter(arms.values())).effect.num_problems, arms) for name, arms in rows.items()]
