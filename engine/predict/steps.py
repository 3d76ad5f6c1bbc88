"""Verified answers become examples: each line with its place, the rule that it names, and its verdict."""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from engine.logic.proofs import read_line
from engine.records import Answer, Problem, Status

_RULE = 40
"""Characters of a rule's name that are kept."""


class Step(NamedTuple):
    """One line of a reply that a verifier has judged."""

    answer: int
    """Place of the answer that it is a line of."""
    group: str
    """What is held out together: the problem, or all problems of its story."""
    start: int
    end: int
    """Its characters in the reply, without the end of the line."""
    rule: str
    """As it is written, or the beginning of that; empty where the line names none."""
    valid: bool


def steps_of(problems: Sequence[Problem], answers: Sequence[Answer]) -> list[Step]:
    """All judged lines of `answers`, in order. Each answer is to one of `problems`.

    Of an undecided answer there are none: it says nothing about the model.
    """
    groups = {problem.id: problem.story or problem.id for problem in problems}
    return [
        step
        for place, answer in enumerate(answers)
        if answer.verdict.status is not Status.UNDECIDED
        for step in _lines(place, groups[answer.attempt.problem_id], answer)
    ]


def _lines(place: int, group: str, answer: Answer) -> Iterator[Step]:
    """The lines of one answer: a verifier names them in order, and may leave out rows that are none."""
    judged = list(answer.verdict.steps)
    start = 0
    for row in answer.attempt.text.split("\n"):
        end = start + len(row)
        if judged and row == judged[0].text:
            step = judged.pop(0)
            if row:  # else there is no token to read
                yield Step(place, group, start, end, read_line(row).rule[:_RULE], step.valid)
        start = end + 1


def some_of(steps: Sequence[Step], most: int, seed: int) -> list[Step]:
    """Up to `most` steps, of whole groups that are chosen at random, in the order in which they were given.

    There is always one group, however many steps it has.
    """
    groups = list(dict.fromkeys(step.group for step in steps))
    sizes = dict.fromkeys(groups, 0)
    for step in steps:
        sizes[step.group] += 1
    taken: set[str] = set()
    num = 0
    for group in random.Random(seed).sample(groups, len(groups)):
        if taken and num + sizes[group] > most:
            continue
        taken.add(group)
        num += sizes[group]
    return [step for step in steps if step.group in taken]
