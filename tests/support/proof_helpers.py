"""Handmade problems and attempts, for tests and measurements of verification."""

from collections.abc import Sequence

from engine.records import Attempt, Finish, Problem, ProofSteps, Theory, Verdict

CHAIN = (
    "Each wumpus is a tumpus.",
    "Tumpuses are not sour.",
    "Every tumpus is a vumpus.",
    "Max is a wumpus.",
)
PROOF = "Max is a tumpus. [1 4 mp] [5]\nMax is not sour. [2 5 mp] [6]\nAnswer: False"
"""A proof from CHAIN that settles 'Max is sour.'"""


def problem(
    premises: Sequence[str], question: str, gold: str = "True", *, notation: str = "fol", name: str = "p"
) -> Problem:
    return Problem(
        id=name,
        task="",
        slice="",
        turns=("",),
        truth=Theory(premises=tuple(premises), question=question, notation=notation, answer=gold),
        gold=(),
        split="",
        origin="",
    )


def attempt(text: str, *, problem_id: str = "p", sample: int = 0) -> Attempt:
    return Attempt(
        problem_id=problem_id,
        model_id="",
        sample=sample,
        replies=(text,),
        num_prompt_tokens=0,
        num_tokens=0,
        finish=Finish.STOP,
    )


def theory(problem: Problem) -> Theory:
    assert isinstance(problem.truth, Theory)
    return problem.truth


def proof(verdict: Verdict) -> ProofSteps:
    assert verdict.proof is not None
    return verdict.proof
