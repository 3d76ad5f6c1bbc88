"""A task that a tiny random model can learn in seconds: the right answer to every question is `yes`."""

from collections.abc import Mapping
from random import Random

from engine.records import Attempt, Fault, Problem, Reference, Status, Verdict
from engine.tasks.suite import Share

NAME = "toy"
SYSTEM = "Prove or refute."
VERIFIERS = (f"{__file__}:verify",)
FIGURES = (
    Share(key="accuracy", title="right answer", holds=lambda verdict: verdict.right),
    Share(key="strict", title="passed", holds=lambda verdict: verdict.status is Status.PASS),
)
HEADLINE = "strict"
DIMENSIONS = {"topic": ("cats", "dogs")}
DEFAULT_SLICES = {"topic": ["cats", "dogs"]}


def make(
    settings: Mapping[str, int | bool | str], rng: Random, *, split: str, slice_name: str, origin: str
) -> Problem:
    question = f"Is {rng.randrange(10**9)} about {settings['topic']}?"
    return Problem(
        id=question,
        task=NAME,
        slice=slice_name,
        turns=(question,),
        truth=Reference(accepted=("yes",)),
        gold=("yes",),
        split=split,
        origin=origin,
    )


def target(problem: Problem, attempt: Attempt) -> tuple[str, ...]:
    return problem.gold


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    right = attempt.text == "yes"
    return Verdict(
        problem_id=problem.id,
        sample=attempt.sample,
        status=Status.PASS if right else Status.FAIL,
        right=right,
        answer=attempt.text.strip()[:20],
        fault=Fault.NONE if right else Fault.WRONG_ANSWER,
        verifier="toy",
        reason="" if right else "it did not say just that",
    )
