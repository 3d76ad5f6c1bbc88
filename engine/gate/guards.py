"""Guards: what a task itself must not lose, such as what a model learnt before (`engine.tasks.suite.Guard`).

Every model is asked a guard's problems once a run, and its answers are kept: a guard against the best ever is
held to what any champion of the run has answered, problem by problem.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isnan
from typing import NamedTuple

from engine.gate import arithmetic as gate
from engine.gate import carry
from engine.gate.sentinels.proportion import KeptRecords, paired
from engine.gate.terms import Trial
from engine.gate.watched import watched
from engine.measure.evaluate import suite_digest
from engine.models.identity import Model
from engine.records import Answer, Check, SentinelScores, Watched
from engine.tasks.suite import Guard, guards_of

_LABEL = 80
"""Characters by which a problem is called in a list."""


class Guards(NamedTuple):
    """The checks of all guards, and what they show beside."""

    checks: list[Check]
    watched: list[Watched]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded(KeptRecords):
    """A guard as a suite, whose items are called by what was asked last."""

    @property
    def items(self) -> list[tuple[str, str]]:
        return [(problem.turns[-1][:_LABEL], problem.text) for problem in self.problems]


def guarded(trial: Trial) -> Guards:
    """No harm to what the task guards: the one-sided 95 % bound of each drop is under its margin."""
    return _compared(trial, shows=True)


def glanced(trial: Trial) -> Guards:
    """No visible harm to what the task guards, which is not the same as shown to be none."""
    return _compared(trial, shows=False)


def guards_not_run(trial: Trial) -> list[Check]:
    """The same checks, where an earlier refusal made them needless."""
    return [gate.not_run(guard.title, "no harm") for guard in guards_of(trial.suite)]


def _compared(trial: Trial, *, shows: bool) -> Guards:
    found = Guards([], [])
    for guard in guards_of(trial.suite):
        suite = Guarded(name=guard.title, problems=guard.problems)
        margin = trial.settings.sentinels.margin if guard.margin is None else guard.margin
        before, after = _before(trial, guard, suite), suite.scores(_answers(trial, guard, trial.challenger))
        pairs = paired(before, after)
        found.checks.append(
            gate.no_harm_proportion(guard.title, pairs, margin)
            if shows
            else carry.no_visible_drop(guard.title, pairs, margin)
        )
        found.watched.append(watched(suite, before, after))
    return found


def _before(trial: Trial, guard: Guard, suite: Guarded) -> SentinelScores:
    """What a challenger is held to."""
    if guard.against == "frozen":
        return suite.scores(_answers(trial, guard, trial.frozen))
    scores = suite.scores(_answers(trial, guard, trial.champion))
    if guard.against == "champion":
        return scores
    best = {problem.id: score for problem, score in zip(guard.problems, scores.scores, strict=True)}
    told = {problem.id: reply for problem, reply in zip(guard.problems, scores.replies, strict=True)}
    for given in _kept(trial, guard):
        earlier = suite.scores(given)
        for answer, score, reply in zip(given, earlier.scores, earlier.replies, strict=True):
            name = answer.verdict.problem_id
            if name in best and _better(score, best[name]):
                best[name], told[name] = score, reply
    return replace(scores, model_id="best", scores=tuple(best.values()), replies=tuple(told.values()))


def _better(score: float, other: float) -> bool:
    """Passed beats undecided, which beats failed: what is undecided counts as passed before."""
    return score == 1.0 != other or (isnan(score) and other == 0.0)


def _kept(trial: Trial, guard: Guard) -> Sequence[list[Answer]]:
    """The answers of the run's champions to problems of a guard's name, whenever they were asked."""
    begins = f"guards/{guard.name}-"
    asked = (f"{begins}{rest}" for rest in trial.run.seconds(begins))
    return [
        trial.run.read_many(stage, Answer) for stage in asked if stage.rpartition("/")[2] in trial.champions
    ]


def _answers(trial: Trial, guard: Guard, model: Model) -> list[Answer]:
    """A model on a guard's problems, which it is asked once a run. Raises GateError and Unjudged."""
    suite = Guarded(name=guard.name, problems=guard.problems)
    return trial.run.step_many(
        f"guards/{guard.name}-{suite_digest(guard.problems)[:8]}/{model.id}",
        Answer,
        partial(suite.answers, trial.bench, model, trial.max_new_tokens),
        doing=f"No harm elsewhere: {trial.role(model)} answers {len(guard.problems)} problems "
        f"of {guard.name}",
    )
