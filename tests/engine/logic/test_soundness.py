"""Brute force confirms whatever the rule checker accepts: two things, two names, two predicates, two
propositions, every interpretation. Proofs are random, and steered to where rules apply or nearly do."""

import itertools
import random
from collections import Counter

import pytest

from engine.logic.fol import Fol
from engine.logic.formulas import Implies
from engine.logic.rules import ASSUME, apply
from engine.records import Fault, Status
from engine.verify.rules import verify
from tests.support.proof_helpers import attempt, problem
from tests.support.soundness import POOL, RULES, SMALL, _claims, derivations, follows, written


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_what_a_rule_concludes_from_any_formulas_follows(name: str) -> None:
    """Every choice of citations from a pool. A sub-proof stands for 'if assumption, then conclusion'."""
    rule, num_accepted = RULES[name], 0
    sizes = [rule.num_cited] if rule.num_cited else [2, 3]
    for cited in (c for n in sizes for c in itertools.product(POOL if n < 4 else SMALL, repeat=n)):
        for claim in _claims(rule.conclude, cited):
            if apply(rule, cited, claim)[0] is not Fault.NONE:
                continue
            inside = {i for sub in rule.discharges for i in (sub.assumption, *sub.conclusions)}
            given = [formula for i, formula in enumerate(cited) if i not in inside]
            for sub in rule.discharges:
                given += [Implies(cited[sub.assumption], cited[end]) for end in sub.conclusions]
            assert follows(given, claim), (name, cited, claim)
            num_accepted += 1
    assert num_accepted >= 4


@pytest.mark.slow
def test_every_accepted_line_follows_from_its_premises_and_open_assumptions() -> None:
    accepted, refused = Counter[str](), 0
    for premises, lines, checker in derivations(random.Random(0), 50, 35):
        judged = checker.known[-1]
        if judged.fault is not Fault.NONE:
            refused += 1
            continue
        opened = [checker.known[number - 1].formula for number in judged.open]
        given = [*Fol(premises).premises, *opened]
        assert follows(given, judged.formula), (premises, lines)  # type: ignore[arg-type]
        accepted[judged.rule] += 1
        if not judged.open:
            asked = problem(premises, lines[-1].claim)
            assert verify(asked, attempt(written(lines))).status is Status.PASS
    assert set(accepted) == {*RULES, ASSUME} and min(accepted.values()) >= 3, accepted
    assert sum(accepted.values()) > 500 and refused > 400
