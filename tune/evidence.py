"""The scores of an experiment's trials, side by side: by place, arm and seed, each problem on its own."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from configs.experiment import Design
from engine.records import Problem, SentinelScores
from tune.arms import WORST, ArmTrial, FaultKind, Reading, weak_slices
from tune.ground import CHAMPION, MIXED_SPLIT, Ground
from tune.words import Unit

Kind = Literal["weak", "all", "slice", "sentinel"]
WEAK = "the weak slices"
ALL = "the whole mixture"
_OWN: tuple[FaultKind, ...] = ("loss explosion", "NaN", "data")
"""Kinds of failures that are results of what was trained, and how."""


class Evidence(NamedTuple):
    """Everything that was measured."""

    design: Design
    ground: Ground
    problems: Sequence[Problem]
    champion: Reading
    sentinels: Sequence[SentinelScores]
    """The champion on each suite."""
    trials: Sequence[ArmTrial]

    @property
    def unit(self) -> Unit:
        """The unit of scores on the problems."""
        return "share" if self.champion.evaluation.head.unit == "share" else "nats"

    def of(self, arm: str) -> dict[int, ArmTrial]:
        """The finished trials of an arm by their seed."""
        return {each.seed: each for each in self.trials if (each.arm, each.status) == (arm, "finished")}

    def failed(self, arm: str) -> list[int]:
        """The seeds in which an arm failed by itself: its loss, or that it had not enough to learn.

        What comes from outside, such as a lost worker, says nothing of an arm.
        """
        return [each.seed for each in self.trials if each.arm == arm and each.fault in _OWN]

    def is_over(self, *arms: str) -> bool:
        """Whether no trial of these arms is still to come."""
        return all(each.status != "under way" for each in self.trials if each.arm in arms)

    def alike(self, arm: str, other: str) -> list[int]:
        """The seeds in which two arms are one trial: they learnt the same rows in the same way."""
        design, first, second = self.design, self.of(arm), self.of(other)
        return [
            seed
            for seed in sorted(first.keys() & second.keys())
            if (one := first[seed].learnt)
            and (two := second[seed].learnt)
            and one.training_set_id == two.training_set_id
            and design.varied(arm, seed).trains == design.varied(other, seed).trains
        ]

    def is_one(self, arm: str, other: str) -> bool:
        """Whether two arms are alike in all seeds that both have finished: nothing can tell them apart."""
        seeds = self.of(arm).keys() & self.of(other).keys()
        return bool(seeds) and len(self.alike(arm, other)) == len(seeds)

    def places(self) -> Iterator[tuple[Kind, str, list[int]]]:
        """Where arms are compared on problems, with the indices of these; the first is what matters most."""
        weak = weak_slices(self.ground.weaknesses)
        named = [(i, each.slice) for i, each in enumerate(self.problems)]
        if indices := [i for i, name in named if name in weak]:
            yield "weak", WEAK, indices
        yield "all", ALL, [i for i, each in enumerate(self.problems) if each.split == MIXED_SPLIT]
        for slice_name in sorted({name for _, name in named}):
            yield "slice", slice_name, [i for i, name in named if name == slice_name]


class Table(NamedTuple):
    """The scores of all finished trials in one place."""

    kind: Kind
    where: str
    unit: Unit
    champion: np.ndarray
    arms: dict[str, dict[int, np.ndarray]]
    """By arm and seed."""

    def differences(self, arm: str, against: str) -> np.ndarray:
        """An arm less another or the champion, a row for each seed that both have finished."""
        first = self.arms[arm]
        other = dict.fromkeys(first, self.champion) if against == CHAMPION else self.arms[against]
        return np.array([first[seed] - other[seed] for seed in sorted(first.keys() & other.keys())])


def on_problems(evidence: Evidence) -> Iterator[Table]:
    """The places of the experiment's problems."""
    for kind, where, indices in evidence.places():
        arms = {
            arm: {
                seed: np.array(trial.readings[-1].scores)[indices] for seed, trial in evidence.of(arm).items()
            }
            for arm in evidence.design.settings.arms
        }
        yield Table(kind, where, evidence.unit, np.array(evidence.champion.scores)[indices], arms)


def on_sentinels(evidence: Evidence) -> Iterator[Table]:
    """The sentinel suites, each a place."""
    for of_champion in evidence.sentinels:
        arms = {
            arm: {
                seed: _items(scores)
                for seed, trial in evidence.of(arm).items()
                for scores in trial.sentinels
                if scores.suite == of_champion.suite
            }
            for arm in evidence.design.settings.arms
        }
        unit: Unit = "nats" if of_champion.num_tokens else "share"
        yield Table("sentinel", of_champion.suite, unit, _items(of_champion), arms)


def _items(scores: SentinelScores) -> np.ndarray:
    """A score for each item, more is better: 1 for an answered request, or nats a token with a minus sign.

    An undecided answer has not passed.
    """
    values = np.array(scores.scores)
    if not scores.num_tokens:
        return np.nan_to_num(values, nan=0.0)
    return np.where(np.isfinite(values), -values / np.array(scores.num_tokens), WORST)


def trajectory(evidence: Evidence, trial: ArmTrial, indices: Sequence[int]) -> tuple[np.ndarray, list[float]]:
    """Scores at each checkpoint from the champion on, and the tokens learnt by then.

    A training that was stopped early stays as it is, and learns no more.
    """
    assert trial.learnt, "only a trial that learns has a curve"
    settings = evidence.design.settings
    readings = [evidence.champion, *trial.readings]
    readings += readings[-1:] * (settings.rungs + 1 - len(readings))
    whole = trial.num_tokens / trial.done
    shares = [0.0, *(min(settings.share(rung), trial.done) for rung in range(settings.rungs))]
    scores = np.array([each.scores for each in readings])[:, indices]
    return scores, [share * whole for share in shares]
