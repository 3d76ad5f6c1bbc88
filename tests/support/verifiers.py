"""A pool of checker processes, and items for it to check."""

from collections.abc import Iterator
from contextlib import contextmanager
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


_OPEN: dict[tuple[str, float], VerifierPool] = {}


@contextmanager
def kept_pool(verifier: str, seconds: float) -> Iterator[VerifierPool]:
    """A pool that stays open for the next who asks for the same, because its process takes long to start.

    One in which something may be unfinished does not stay.
    """
    kept = _OPEN.pop((verifier, seconds), None) or pool(verifier, seconds=seconds).__enter__()
    try:
        yield kept
    except BaseException:
        kept.close()
        raise
    left = kept.poll() or kept.num_pending
    if left or _OPEN.setdefault((verifier, seconds), kept) is not kept:
        kept.close()


def items(*texts: str) -> list[tuple[Problem, Attempt]]:
    return [(ASKED, attempt(text, sample=i)) for i, text in enumerate(texts)]
