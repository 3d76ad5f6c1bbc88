"""Both checkers on proofs by the thousand: what the rules pass Z3 passes, and the rest differs as stated."""

import random

import pytest

from tests.support.mutations import compare_derivations, compare_mutations
from tests.support.sealed_soundness import CLOSING, judge_by_brute_force

pytestmark = pytest.mark.soak


def test_ten_thousand_mutated_proofs() -> None:
    found = compare_mutations(random.Random(0), 10_000)
    print(dict(found))
    assert sum(found.values()) == 10_000 and found["both pass"] > 300


def test_a_thousand_random_derivations() -> None:
    found = compare_derivations(random.Random(1), 1_000)
    print(dict(found))
    assert found["accepted"] > 10_000 and {"explosion", "wrong rule"} <= found.keys()


def test_a_thousand_proofs_of_lines_at_will() -> None:
    found = judge_by_brute_force(random.Random(1), 1_000)
    print(dict(found))
    assert found["PASS"] > 500 and min(found[rule] for rule in CLOSING) > 50
