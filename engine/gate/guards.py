"""Guards: what a task itself must not lose, such as what a model learnt before (`engine.tasks.suite.Guard`).

Every model is asked a guard's problems once a run. A champion's answers are kept with the line: a guard
against the best ever is held to what the champion or any of its ancestors has answered, problem by problem.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import nan
from typing import NamedTuple

from engine.gate import arithmetic as gate
from engine.gate import carry
from engine.gate.sentinels.proportion import KeptRecords, paired
from engine.gate.terms import Trial
from engine.gate.watched import watched
from engine.measure.evaluate import suite_digest
from engine.measure.paired import by_story, paired_drop_bound
from engine.models.identity import Model
from engine.records import Answer, Check, Problem, SentinelScores, Watched
from engine.registry.guarded import guarded_by, keep_guarded
from engine.tasks.suite import Guard, guards_of

_LABEL = 80
"""Characters by which a problem is called in a list."""
_PASSED = {1.0: True, 0.0: False}
"""Of a score; none of what is undecided, which is NaN."""
_SCORE = {True: 1.0, False: 0.0, None: nan}
_RANK = {False: 0, None: 1, True: 2}


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
            no_harm(guard.title, guard.problems, pairs, margin)
            if shows
            else carry.no_visible_drop(guard.title, pairs, margin)
        )
        found.watched.append(watched(suite, before, after))
    return found


def no_harm(name: str, problems: Sequence[Problem], pairs: Sequence[gate.Pair], margin: float) -> Check:
    """No harm to what is guarded: the one-sided 95 % bound of the drop is under `margin`.

    `pairs` are (passed before, challenger passed). A story counts once, by the mean over its problems: what
    is lost is often lost in all of them.
    """
    stories = [problem.story or problem.id for problem in problems]
    before, after = (by_story(side, stories)[1] for side in zip(*pairs, strict=True))
    lost, gained, num = by_story([new - old for old, new in pairs], stories)
    bound, drop = paired_drop_bound(lost, gained, num), (lost - gained) / num
    asked = f"{num} stories ({len(pairs)} problems)" if num < len(pairs) else str(num)
    change = f"a {'drop' if drop >= 0 else 'gain'} of {100 * abs(drop):.1f} points"
    return Check(
        name=name,
        observed=f"{before / num:.1%} -> {after / num:.1%} of {asked}: {change}, "
        f"a drop of under {100 * bound:.1f} (95 %)",
        threshold=f"a drop of under {100 * margin:.1f} points",
        passed=bound < margin,
        value=bound,
        limit=margin,
        unit="share",
    )


def _before(trial: Trial, guard: Guard, suite: Guarded) -> SentinelScores:
    """What a challenger is held to."""
    if guard.against == "frozen":
        return suite.scores(_answers(trial, guard, trial.frozen))
    scores = suite.scores(_answers(trial, guard, trial.champion))
    if guard.against == "champion":
        return scores
    home, line, ids = trial.run.home, trial.run.config.line, [problem.id for problem in guard.problems]
    own = dict(zip(ids, zip(map(_PASSED.get, scores.scores), scores.replies, strict=True), strict=True))
    best = dict(own)
    for earlier in guarded_by(home, line, trial.champion.id):
        for name in best.keys() & earlier.keys():
            # Passed beats undecided, which beats failed: what is undecided counts as passed before.
            best[name] = max(best[name], earlier[name], key=lambda answered: _RANK[answered[0]])
    if trial.who[0] == "champion":
        keep_guarded(home, line, trial.champion.id, own)
    return replace(
        scores,
        model_id="best",
        scores=tuple(_SCORE[passed] for passed, _ in best.values()),
        replies=tuple(reply for _, reply in best.values()),
    )


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
