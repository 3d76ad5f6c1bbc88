"""From lines to replies: how likely it is that a further reply to a problem passes.

A problem's replies so far tell it in two ways: by how many of them passed, and by the chances of their
lines, which say more of a reply than pass or fail. Whether they do is tested on the replies themselves:
each is foreseen from the others to its problem, with these chances and without.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.measure.paired import LEAST_DOCUMENTS
from engine.predict.calibration import advantage
from engine.predict.head import curve, logistic, parts
from engine.predict.steps import Step
from engine.records import Answer, Estimate, Problem, Status

_LEAST = 1e-3
"""Chance of a reply that has no line at all, and the least of any."""


class Further(NamedTuple):
    """What the replies to problems say of a further one."""

    chances: dict[str, float]
    """By problem, of those with two replies or more, the chance that another one passes."""
    advantage: Estimate
    """How much lower the Brier score is with the chances of lines than with verdicts alone."""


class _Replies(NamedTuple):
    """The replies to some problems, or parts of them, as arrays of the same length."""

    passed: np.ndarray
    """Share of the replies looked at that passed."""
    foreseen: np.ndarray
    """Mean of their chances, as log-odds."""
    outcome: np.ndarray
    """Whether the reply that is to be foreseen passed: 0 or 1."""
    groups: np.ndarray

    def columns(self, with_lines: bool) -> np.ndarray:
        return np.stack([self.passed, self.foreseen][: 1 + with_lines], axis=1)

    def at(self, places: np.ndarray) -> "_Replies":
        return _Replies(*(each[places] for each in self))


def further(
    problems: Sequence[Problem],
    answers: Sequence[Answer],
    steps: Sequence[Step],
    chances: np.ndarray,
    folds: int,
    seed: int,
) -> Further | None:
    """What the lines of replies, with their `chances`, say of further replies; None where they are too few.

    Every chance is by a curve that was fitted without the problem. An undecided reply does not count.
    """
    lines = whole(steps, chances)
    group_of = {problem.id: problem.story or problem.id for problem in problems}
    own: dict[str, list[tuple[float, float]]] = defaultdict(list)
    read = {group_of[answers[step.answer].attempt.problem_id] for step in steps}
    for place, answer in enumerate(answers):
        problem, status = answer.attempt.problem_id, answer.verdict.status
        if group_of[problem] in read and status is not Status.UNDECIDED:
            own[problem].append((float(status is Status.PASS), lines.get(place, _LEAST)))
    own = {problem: replies for problem, replies in own.items() if len(replies) > 1}
    one_of = _arrays(
        [(group_of[p], [*r[:i], *r[i + 1 :]], r[i][0]) for p, r in own.items() for i in range(len(r))]
    )
    num_groups = len(set(one_of.groups.tolist()))
    if num_groups < max(folds, LEAST_DOCUMENTS) or len(set(one_of.outcome.tolist())) < 2:
        return None
    all_of = _arrays([(group_of[problem], replies, 0.0) for problem, replies in own.items()])
    with_lines, without, asked = (np.empty(len(each.groups)) for each in (one_of, one_of, all_of))
    part = parts(one_of.groups.tolist(), folds, seed)
    part_of = dict(zip(one_of.groups.tolist(), part.tolist(), strict=True))
    asked_part = np.array([part_of[group] for group in all_of.groups.tolist()])
    for fold in range(folds):
        learn, here, there = one_of.at(part != fold), part == fold, asked_part == fold
        for found, has_lines in ((with_lines, True), (without, False)):
            weights = logistic(learn.columns(has_lines), learn.outcome)
            found[here] = curve(weights, one_of.at(here).columns(has_lines))
            if has_lines:
                asked[there] = curve(weights, all_of.at(there).columns(has_lines))
    gain = advantage(with_lines, without, one_of.outcome, one_of.groups.tolist())
    return Further(dict(zip(own, asked.tolist(), strict=True)), gain)


def whole(steps: Sequence[Step], chances: np.ndarray) -> dict[int, float]:
    """By the place of an answer the chance that all its lines are valid: the product of theirs."""
    found: dict[int, float] = defaultdict(lambda: 1.0)
    for step, chance in zip(steps, chances.tolist(), strict=True):
        found[step.answer] *= chance
    return dict(found)


def _arrays(rows: Sequence[tuple[str, Sequence[tuple[float, float]], float]]) -> _Replies:
    """Of each row a group, the replies looked at as (passed, chance), and the outcome to foresee."""
    chance = np.clip([np.mean([each for _, each in replies]) for _, replies, _ in rows], _LEAST, 1 - _LEAST)
    return _Replies(
        passed=np.array([np.mean([passed for passed, _ in replies]) for _, replies, _ in rows]),
        foreseen=np.log(chance / (1 - chance)),
        outcome=np.array([outcome for _, _, outcome in rows]),
        groups=np.array([group for group, _, _ in rows]),
    )
