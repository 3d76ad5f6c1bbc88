"""No harm elsewhere: the sentinel suites are asked here, once a run for each model, and compared.

The suites themselves are in `engine/gate/sentinels`; what a task guards itself follows them (`guards.py`).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from engine.gate import arithmetic as gate
from engine.gate.guards import Guards, glanced, guarded, guards_not_run
from engine.gate.sentinels import SentinelSuite, suites_of
from engine.gate.terms import Trial
from engine.gate.watched import watched
from engine.models.identity import Model
from engine.records import Check, SentinelScores, Watched, to_json
from engine.tasks.suite import kept_apart

_ASKS = {"perplexity": "reads {} texts of {}", "proportion": "answers {} requests of {}"}


class Elsewhere(NamedTuple):
    """The checks of all suites and guards, and what they show beside."""

    checks: list[Check]
    watched: tuple[Watched, ...] = ()
    """Of those that were asked."""

    def beside(self, guards: Guards) -> "Elsewhere":
        return Elsewhere([*self.checks, *guards.checks], (*self.watched, *guards.watched))


def sentinels(trial: Trial, before: Model) -> Elsewhere:
    """No harm elsewhere, against `before`, nor to what the task guards; every suite and guard must pass."""
    settings = trial.settings.sentinels
    suites = suites_of(settings.suites, kept_apart(trial.suite))
    old, new, base = (_scores(trial, suites, model) for model in (before, trial.challenger, trial.base))
    checks = [
        suite.check(settings, before=old[i], after=new[i], base=base[i]) for i, suite in enumerate(suites)
    ]
    return Elsewhere(checks, _watched(trial, suites, old, new)).beside(guarded(trial))


def glance(trial: Trial) -> Elsewhere:
    """No visible harm elsewhere, against the line's frozen champion: small losses cannot add up."""
    settings = trial.settings.sentinels
    suites = suites_of(settings.suites, kept_apart(trial.suite))
    old, new = (_scores(trial, suites, model) for model in (trial.frozen, trial.challenger))
    checks = [suite.glance(settings, before=old[i], after=new[i]) for i, suite in enumerate(suites)]
    return Elsewhere(checks, _watched(trial, suites, old, new)).beside(glanced(trial))


def not_asked(trial: Trial) -> Elsewhere:
    """The same checks, where an earlier refusal made them needless."""
    return _suites_not_run(trial).beside(Guards(guards_not_run(trial), []))


def only_guards(trial: Trial, *, shows: bool = True) -> Elsewhere:
    """The same checks where an earlier refusal spares the suites: what was lost of the task itself is shown.

    Without `shows` the guards are glanced at, as where a round only carries.
    """
    return _suites_not_run(trial).beside(guarded(trial) if shows else glanced(trial))


def _suites_not_run(trial: Trial) -> Elsewhere:
    suites = suites_of(trial.settings.sentinels.suites, kept_apart(trial.suite))
    return Elsewhere([gate.not_run(suite.name, "no harm") for suite in suites])


def sentinel_scores(trial: Trial, suite: SentinelSuite, model: Model) -> SentinelScores:
    """A model on one suite, which it is asked once a run, however often it is compared.

    Raises GateError where the suite has changed since: answers to other rows cannot be compared with those.
    """
    rows = hashlib.sha256(to_json(suite).encode()).hexdigest()[:16]
    scores = trial.run.step(
        f"sentinels/{suite.name}/{model.id}",
        SentinelScores,
        lambda: replace(suite.ask(trial.bench, model, trial.max_new_tokens), rows=rows),
        doing=f"No harm elsewhere: {trial.role(model)} {_ASKS[suite.kind].format(suite.size, suite.name)}",
        came=_in_words,
    )
    if scores.rows not in ("", rows):
        raise gate.GateError(
            f"sentinel suite {suite.name} has other rows than {trial.role(model)} was asked: the file has "
            "changed since"
        )
    return scores


def _in_words(scores: SentinelScores) -> str:
    """What came of a suite, for people who follow."""
    if scores.num_tokens:
        return f"perplexity {math.exp(min(sum(scores.scores) / sum(scores.num_tokens), 700)):.1f}"
    return f"{scores.scores.count(1.0) / len(scores.scores):.0%} answered as asked"


def _scores(trial: Trial, suites: Sequence[SentinelSuite], model: Model) -> list[SentinelScores]:
    return [sentinel_scores(trial, suite, model) for suite in suites]


def _watched(
    trial: Trial,
    suites: Sequence[SentinelSuite],
    old: Sequence[SentinelScores],
    new: Sequence[SentinelScores],
) -> tuple[Watched, ...]:
    return tuple(
        watched(suite, before, after, trial.embed)
        for suite, before, after in zip(suites, old, new, strict=True)
    )
