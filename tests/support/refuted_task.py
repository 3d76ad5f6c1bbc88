"""The toy task with a second verifier that refutes whatever the first accepts: one of them must be wrong."""

from dataclasses import replace

from engine.records import Attempt, Fault, Problem, Status, Verdict
from tests.support import toy_task
from tests.support.toy_task import DEFAULT_SLICES, DIMENSIONS, FIGURES, HEADLINE, SYSTEM, make, target

__all__ = ["DEFAULT_SLICES", "DIMENSIONS", "FIGURES", "HEADLINE", "SYSTEM", "make", "target"]

NAME = "refuted"
VERIFIERS = (*toy_task.VERIFIERS, f"{__file__}:refute")


def refute(problem: Problem, attempt: Attempt) -> Verdict:
    return replace(
        toy_task.verify(problem, attempt),
        status=Status.FAIL,
        fault=Fault.WRONG_ANSWER,
        verifier="refuter",
        reason="nothing is proved",
    )
