"""A round's predictor from verified answers: states are read, heads are trained and measured."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from configs.loop_parts import Predictor
from engine.models.nodes import refer_to
from engine.models.prompts import messages
from engine.predict.calibration import advantage, calibration_of
from engine.predict.head import Material, Predict, by_logprob, by_rule, cross_fitted, train_head
from engine.predict.replies import further
from engine.predict.states import Marked, Place, States, read_states
from engine.predict.steps import Step, some_of, steps_of
from engine.records import Answer, Foresight, Problem

FOLDS = 5
"""Parts of the problems: each is foreseen by heads that were trained on the others."""
LEAST_GROUPS, LEAST_STEPS = 20, 20
"""Problems, and steps of each kind, that a predictor needs."""
NAME = "q̂"
BASELINES = {"mean log-probability of the line": by_logprob, "base rate of the rule": by_rule}


def foresee(
    problems: Sequence[Problem],
    answers: Sequence[Answer],
    *,
    settings: Predictor,
    model: Path,
    place: Place,
    system: str,
    seed: int,
) -> Foresight:
    """The predictor of `model` from its verified `answers` to `problems`.

    Every figure, and every chance, is of problems that the head behind it has not learnt from. Where there is
    too little to learn from, the record says so. Raises engine.predict.states.StatesLost.
    """
    steps = some_of(steps_of(problems, answers), settings.steps, seed)
    num_groups, num_valid = len({step.group for step in steps}), sum(step.valid for step in steps)
    record = Foresight(
        model_id=answers[0].attempt.model_id,
        num_steps=len(steps),
        num_groups=num_groups,
        num_valid=num_valid,
        num_tokens=0,
        scores=(),
        advantages=(),
        chances={},
        further=None,
        missing=_missing(num_groups, num_valid, len(steps) - num_valid),
    )
    if record.missing:
        return record
    marked = marked_lines(problems, answers, steps, system)
    states = read_states(refer_to(model), marked, [settings.depth], place)
    material = material_of(steps, states, 0)
    record = replace(record, num_tokens=states.num_tokens)
    return measured(record, material, steps, problems, answers, seed)


def _missing(num_groups: int, num_valid: int, num_invalid: int) -> str:
    if num_groups >= LEAST_GROUPS and min(num_valid, num_invalid) >= LEAST_STEPS:
        return ""
    return (
        f"a predictor needs {LEAST_STEPS} valid and {LEAST_STEPS} invalid lines about {LEAST_GROUPS} "
        f"problems, got {num_valid} and {num_invalid} about {num_groups}"
    )


def marked_lines(
    problems: Sequence[Problem], answers: Sequence[Answer], steps: Sequence[Step], system: str
) -> list[Marked]:
    """The replies that `steps` are lines of, each once and in order, with the chats that they reply to."""
    asked = {problem.id: problem for problem in problems}
    lines: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for step in steps:
        lines[step.answer].append((step.start, step.end))
    marked = []
    for place, own in lines.items():
        attempt = answers[place].attempt
        *earlier, reply = attempt.replies
        chat = messages(system, asked[attempt.problem_id].turns[: len(earlier) + 1], replies=earlier)
        marked.append(Marked(chat, reply, tuple(own)))
    return marked


def material_of(steps: Sequence[Step], states: States, depth: int) -> Material:
    """Steps with their states, in the same order; `depth` is the place of the one that was asked for."""
    return Material(
        hidden=states.hidden[depth],
        logprob=states.logprob,
        rules=np.array([step.rule for step in steps]),
        groups=np.array([step.group for step in steps]),
        valid=np.array([step.valid for step in steps], dtype=np.float32),
    )


def measured(
    record: Foresight,
    material: Material,
    steps: Sequence[Step],
    problems: Sequence[Problem],
    answers: Sequence[Answer],
    seed: int,
) -> Foresight:
    """The record with all that is known of a predictor on `material`."""
    groups, valid = material.groups.tolist(), material.valid
    trained: dict[str, Callable[[Material, int], Predict]] = {NAME: _own, **BASELINES}
    foreseen = {name: cross_fitted(material, train, FOLDS, seed) for name, train in trained.items()}
    own = foreseen[NAME]
    more = further(problems, answers, steps, own, FOLDS, seed)
    return replace(
        record,
        scores=tuple(calibration_of(name, chances, valid, groups) for name, chances in foreseen.items()),
        advantages=tuple(advantage(own, foreseen[name], valid, groups) for name in BASELINES),
        chances=more.chances if more else {},
        further=more.advantage if more else None,
    )


def _own(material: Material, seed: int) -> Predict:
    return train_head(material, seed).__call__
