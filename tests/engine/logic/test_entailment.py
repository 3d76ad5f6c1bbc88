"""Z3's answers depend on the question and on what was asked about the same proof, and on nothing else."""

import random

import pytest
import z3

from engine.logic.entailment import Entailment, limited_memory
from engine.logic.fol import Fol
from tests.support.soundness import POOL, random_formula

HARD = Fol(
    [
        "all x -all v0 -all v1 -all v2 -all v3 -all v4 -all v5 R(x, v0, v1, v2, v3, v4, v5)",
        "Q(a)",
        "-all v0 -all v1 -all v2 -all v3 -all v4 -all v5 R(a, v0, v1, v2, v3, v4, v5)",
    ]
).premises


def answers() -> list[tuple[bool | None, int]]:
    """Answers to some questions about one problem, each with the work that is left then."""
    entailment = Entailment()
    found = []
    for given, claim in ((HARD[:1], HARD[2]), (HARD[:2], HARD[1]), (HARD[1:2], HARD[2])):
        found.append((entailment.follows(given, claim), entailment._work_left))
    return found


@pytest.mark.slow
def test_what_was_asked_about_other_proofs_changes_nothing() -> None:
    first, rng = answers(), random.Random(0)
    for _ in range(40):
        Entailment().follows(rng.choices(POOL, k=2), random_formula(rng, 2))
    kept = [Entailment() for _ in range(3)]
    for other in kept:
        other.follows(HARD[:1], HARD[1])
    assert answers() == first


def test_memory_that_z3_has_not_is_no_answer() -> None:
    with pytest.raises(MemoryError), limited_memory():
        raise z3.Z3Exception("out of memory")
    with pytest.raises(z3.Z3Exception, match="unknown key"), limited_memory():
        raise z3.Z3Exception("unknown key")
