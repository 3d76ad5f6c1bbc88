"""A task that a tiny random model can learn in seconds: whatever it is asked, it should say `yes`."""

from collections.abc import Mapping
from pathlib import Path
from random import Random

from engine.records import Attempt, Fault, Problem, Status, Verdict

NAME = "toy"
VERIFIER = f"{__file__}:verify"
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
        premises=(),
        question=question,
        prompt=question,
        gold_answer="yes",
        gold_text="yes",
        notation="english",
        split=split,
        origin=origin,
    )


def read(path: Path) -> list[Problem]:
    raise NotImplementedError("the toy task has no public file")


def target(problem: Problem, text: str) -> str:
    return problem.gold_text


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    right = attempt.text == "yes"
    return Verdict(
        problem_id=problem.id,
        sample=attempt.sample,
        status=Status.PASS if right else Status.FAIL,
        answer_right=right,
        proof_valid=right,
        answer=attempt.text.strip()[:20],
        steps=(),
        num_valid_steps=0,
        fault=Fault.NONE if right else Fault.WRONG_ANSWER,
        fault_step=0,
        verifier="toy",
        reason="" if right else "it did not say just that",
    )
