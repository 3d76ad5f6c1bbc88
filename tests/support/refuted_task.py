"""The toy task with a second verifier that refutes all that the first accepts: one of them must be wrong."""

from dataclasses import replace

from engine.records import Attempt, Fault, Problem, Status, Verdict
from tests.support.toy_task import DEFAULT_SLICES, DIMENSIONS, VERIFIER, make, read, target, verify

__all__ = ["DEFAULT_SLICES", "DIMENSIONS", "VERIFIER", "make", "read", "target"]

NAME = "refuted"
SECOND_VERIFIER = f"{__file__}:refute"


def refute(problem: Problem, attempt: Attempt) -> Verdict:
    return replace(
        verify(problem, attempt),
        status=Status.FAIL,
        proof_valid=False,
        fault=Fault.WRONG_ANSWER,
        verifier="refuter",
        reason="nothing is proved",
    )
