"""What the trials of an experiment show: arms compared on the weak slices, on everything and on sentinels.

The hypothesis is about one comparison, treatment against control where the champion is weak. All others are
there to learn from, and their intervals are not corrected for their number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from configs.experiment import NONE
from engine.measure.stats import sign_test
from tune.arms import FaultKind
from tune.effects import Conclusion, Effect, Range, Ratio, Verdict, conclude, data_ratio, effect
from tune.evidence import ALL, WEAK, Evidence, Kind, Table, on_problems, on_sentinels, trajectory
from tune.ground import CHAMPION
from tune.words import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One arm against another, or against the champion, in one place."""

    arm: str
    against: str
    kind: Kind
    where: str
    """For people: a slice, a sentinel suite, or what stands for all weak slices or for everything."""
    unit: Unit
    effect: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """An arm's data ratio against the control."""

    arm: str
    kind: Kind
    ratio: Ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """An arm's mean score by learnt tokens, from the champion on."""

    arm: str
    kind: Kind
    tokens: tuple[float, ...]
    means: tuple[float, ...]
    ranges: tuple[Range, ...]
    """Over seeds, on the same problems."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainstChampion:
    """One trial against the champion on everything, as a single test would see it."""

    number: int
    arm: str
    seed: int
    won: int
    lost: int
    p: float
    """One-sided exact sign test that the trial is better."""
    shown: bool
    """Whether that is at most the gate's level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A trial that failed, or that ended worse than the champion."""

    number: int
    arm: str
    seed: int
    kind: FaultKind
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What an experiment has shown, so far or in the end."""

    verdict: Verdict
    more_seeds: int
    more_problems: int
    primary: Kind
    """Where the hypothesis is judged: on the weak slices, on everything where the champion has none, or where
    the experiment says."""
    unit: Unit
    comparisons: tuple[Comparison, ...]
    savings: tuple[Saving, ...]
    curves: tuple[Curve, ...]
    against_champion: tuple[AgainstChampion, ...]
    faults: tuple[Fault, ...]
    place: str = ""
    """The slice, suite or guard where it is judged, if the experiment names one."""

    @property
    def where(self) -> str:
        """Where the hypothesis is judged, for people."""
        return self.place or (WEAK if self.primary == "weak" else ALL)

    def judged(self, arm: str, against: str) -> Comparison | None:
        """The comparison of two arms where the hypothesis is judged; None where it was not made."""
        for each in self.comparisons:
            is_there = each.where == self.place if self.place else each.kind == self.primary
            if is_there and (each.arm, each.against) == (arm, against):
                return each
        return None

    def of(self, arm: str, kind: Kind, against: str) -> Comparison | None:
        """One comparison; None where it was not made."""
        for each in self.comparisons:
            if (each.arm, each.kind, each.against) == (arm, kind, against):
                return each
        return None

    def saving(self, arm: str, kind: Kind) -> Ratio | None:
        """An arm's data ratio against the control; None where it has none."""
        return next((each.ratio for each in self.savings if (each.arm, each.kind) == (arm, kind)), None)


def findings_of(evidence: Evidence) -> Findings:
    """Everything that the trials show, however many of them have finished."""
    settings = evidence.design.settings
    treatment, control = settings.treated, settings.control
    tables = [*on_problems(evidence), *on_sentinels(evidence)]
    first = next((table for table in tables if table.where == settings.about), tables[0])
    comparisons = tuple(_comparisons(tables, control))
    differences = first.differences(treatment, control)
    conclusion = Conclusion("undecided")
    # While trials run every look is one of many: none of them decides. Where both arms learnt the same, the
    # treatment was never applied. Where one of them failed by itself, what is left of it is a selection.
    is_told = evidence.is_over(treatment, control) and not (
        evidence.is_one(treatment, control) or evidence.failed(treatment) or evidence.failed(control)
    )
    if len(differences) and is_told:
        conclusion = conclude(differences, matters=settings.matters, shares=first.unit == "share")
    against = tuple(_against_champion(evidence))
    return Findings(
        verdict=conclusion.verdict,
        more_seeds=conclusion.more_seeds,
        more_problems=conclusion.more_problems,
        primary=first.kind,
        unit=first.unit,
        comparisons=comparisons,
        savings=tuple(_savings(evidence)),
        curves=tuple(_curves(evidence)),
        against_champion=against,
        faults=tuple(_faults(evidence, against)),
        place=first.where if settings.about == first.where else "",
    )


def _comparisons(tables: Sequence[Table], control: str) -> Iterator[Comparison]:
    for table in tables:
        for arm in table.arms:
            for against in (CHAMPION, control):
                if arm == against or not len(differences := table.differences(arm, against)):
                    continue
                yield Comparison(
                    arm=arm,
                    against=against,
                    kind=table.kind,
                    where=table.where,
                    unit=table.unit,
                    effect=effect(differences, shares=table.unit == "share"),
                )


def _curves(evidence: Evidence) -> Iterator[Curve]:
    for kind, _, indices in evidence.places():
        for arm in evidence.design.settings.arms:
            trials = evidence.of(arm)
            if arm == NONE or not trials or kind == "slice":
                continue
            found = [trajectory(evidence, each, indices) for each in trials.values()]
            scores = np.array([each for each, _ in found])
            effects = [effect(scores[:, step], shares=False) for step in range(scores.shape[1])]
            yield Curve(
                arm=arm,
                kind=kind,
                tokens=tuple(np.mean([tokens for _, tokens in found], axis=0).tolist()),
                means=tuple(each.mean for each in effects),
                ranges=tuple(each.over_seeds for each in effects),
            )


def _savings(evidence: Evidence) -> Iterator[Saving]:
    """Data ratios of all arms that learn against the control, on the seeds that both have finished."""
    settings = evidence.design.settings
    control = evidence.of(settings.control)
    for kind, _, indices in evidence.places():
        for arm in settings.arms:
            trials = evidence.of(arm)
            seeds = sorted(trials.keys() & control.keys())
            if arm == settings.control or NONE in (arm, settings.control) or not seeds or kind == "slice":
                continue
            first, second = (
                [trajectory(evidence, of[seed], indices) for seed in seeds] for of in (trials, control)
            )
            tokens = [np.mean([tokens for _, tokens in each], axis=0) for each in (first, second)]
            ratio = data_ratio(
                np.array([scores for scores, _ in first]),
                np.array([scores for scores, _ in second]),
                (tokens[0], tokens[1]),
                shares=evidence.unit == "share",
            )
            yield Saving(arm=arm, kind=kind, ratio=ratio)


def _against_champion(evidence: Evidence) -> Iterator[AgainstChampion]:
    mixed = next(indices for kind, _, indices in evidence.places() if kind == "all")
    before = np.array(evidence.champion.scores)[mixed]
    for trial in evidence.trials:
        if trial.status != "finished":
            continue
        after = np.array(trial.readings[-1].scores)[mixed]
        won, lost = int((after > before).sum()), int((after < before).sum())
        p = sign_test(won, lost)
        yield AgainstChampion(
            number=trial.number,
            arm=trial.arm,
            seed=trial.seed,
            won=won,
            lost=lost,
            p=p,
            shown=p <= evidence.design.config.gate.alpha,
        )


def _faults(evidence: Evidence, against: Sequence[AgainstChampion]) -> Iterator[Fault]:
    for trial in evidence.trials:
        if trial.status == "failed" and trial.fault:
            yield Fault(
                number=trial.number, arm=trial.arm, seed=trial.seed, kind=trial.fault, reason=trial.reason
            )
    for each in against:
        if sign_test(each.lost, each.won) <= evidence.design.config.gate.alpha:
            yield Fault(
                number=each.number,
                arm=each.arm,
                seed=each.seed,
                kind="regression",
                reason=f"worse than the champion on {ALL}: {each.lost} problems lost, {each.won} won",
            )
