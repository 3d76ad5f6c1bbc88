"""Problems and attempts made by hand, for tests and measurements of verification."""

from collections.abc import Sequence

from engine.records import Attempt, Finish, Problem

CHAIN = (
    "Each wumpus is a tumpus.",
    "Tumpuses are not sour.",
    "Every tumpus is a vumpus.",
    "Max is a wumpus.",
)
PROOF = "Max is a tumpus. [1 4 mp] [5]\nMax is not sour. [2 5 mp] [6]\nAnswer: False"
"""Settles 'Max is sour.' from CHAIN."""


def problem(
    premises: Sequence[str], question: str, gold: str = "True", *, notation: str = "fol", name: str = "p"
) -> Problem:
    return Problem(
        id=name,
        task="",
        slice="",
        premises=tuple(premises),
        question=question,
        prompt="",
        gold_answer=gold,
        gold_text="",
        notation=notation,
        split="",
        origin="",
    )


def attempt(text: str, *, problem_id: str = "p", sample: int = 0) -> Attempt:
    return Attempt(
        problem_id=problem_id,
        model_id="",
        sample=sample,
        text=text,
        num_prompt_tokens=0,
        num_tokens=0,
        finish=Finish.STOP,
    )
