"""The toy task with lines: the right reply says `yes` twice, and each line is valid that says just that."""

from collections.abc import Mapping
from dataclasses import replace
from random import Random

from engine.records import Attempt, Problem, ProofSteps, StepVerdict, Verdict
from tests.support import toy_task

NAME = "stepped"
SYSTEM, FIGURES, HEADLINE = toy_task.SYSTEM, toy_task.FIGURES, toy_task.HEADLINE
DIMENSIONS, DEFAULT_SLICES = toy_task.DIMENSIONS, toy_task.DEFAULT_SLICES
VERIFIERS = (f"{__file__}:verify",)


def make(
    settings: Mapping[str, int | bool | str], rng: Random, *, split: str, slice_name: str, origin: str
) -> Problem:
    made = toy_task.make(settings, rng, split=split, slice_name=slice_name, origin=origin)
    return replace(made, task=NAME, gold=("yes\nyes",))


def target(problem: Problem, attempt: Attempt) -> tuple[str, ...]:
    return problem.gold


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    steps = tuple(
        StepVerdict(number=number, text=row, valid=row == "yes", reason="" if row == "yes" else "not yes")
        for number, row in enumerate(attempt.text.split("\n"), 1)
        if row
    )
    # To the toy task a reply of two right lines is its one right line.
    passed = attempt.text == "yes\nyes"
    verdict = toy_task.verify(problem, replace(attempt, replies=("yes" if passed else "no",)))
    return replace(
        verdict,
        answer=attempt.text[:20],
        proof=ProofSteps(
            valid=passed, steps=steps, num_valid=sum(step.valid for step in steps), fault_step=0
        ),
    )
