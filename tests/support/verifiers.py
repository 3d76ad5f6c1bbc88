"""A pool of checker processes, and items for it to check."""

from pathlib import Path

from engine.records import Attempt, Problem
from engine.verify.pool import VerifierPool
from tests.support.proof_helpers import CHAIN, attempt, problem

BAD = f"{Path(__file__).with_name('bad_verifiers.py')}:act"
ASKED = problem(CHAIN, "Max is sour.", "False", notation="english")


def pool(
    verifier: str = BAD, *, num_processes: int = 1, seconds: float = 1.0, memory_mib: int = 512
) -> VerifierPool:
    return VerifierPool(verifier, num_processes=num_processes, seconds=seconds, memory_mib=memory_mib)


def items(*texts: str) -> list[tuple[Problem, Attempt]]:
    return [(ASKED, attempt(text, sample=i)) for i, text in enumerate(texts)]
