"""Brute force over small worlds confirms what either checker accepts, and Z3 accepts what the rules do."""

import itertools
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from engine.logic.entailment import Entailment
from engine.logic.first_order.notation import FirstOrder
from engine.logic.formulas import Exists, ForAll, Formula, Implies, Or, negate
from engine.logic.rules import ASSUME, RULES, apply
from engine.logic.rules.base import Cited, Misapplied, Rule
from engine.records import Fault, Status
from engine.verify import rules, sealed
from tests.support.first_order import CONSTANTS, POOL, derivations, follows, random_formula, renamed
from tests.support.proof_helpers import attempt, problem, proof
from tests.support.soundness import written

pytestmark = pytest.mark.slow


def cited_for(name: str, rng: random.Random) -> Iterator[Cited]:
    """All pairs of the pool, and as many choices of more formulas, of which most nearly fit."""
    size = RULES[name].num_cited
    if size is None or size <= 2:
        yield from itertools.product(POOL, repeat=2 if size is None else size)
    joined = [formula for formula in POOL if isinstance(formula, Or)]
    some = [formula for formula in POOL if isinstance(formula, Exists)]
    for _ in range(4_000 if size is None or size > 2 else 0):
        one, end, other = rng.choices(POOL, k=3)
        either, there = rng.choice(joined), rng.choice(some)
        instance = renamed(there.body, {there.variable: rng.choice(CONSTANTS)})
        fitting = {
            "mp": (one, end, other),
            "raa": (one, end, negate(end)),
            "cases": (one, end, negate(one), end),
            "or_e": (either, either.left, end, either.right, end),
            "ee": (there, instance, end),
        }[name]
        yield tuple(rng.choice(POOL) if rng.random() < 0.05 else formula for formula in fitting)


def as_given(rule: Rule, cited: Cited, claim: Formula) -> list[Formula]:
    """What is cited as statements: a sub-proof is a condition; what must hold of any thing does of all."""
    statements = list(cited)
    for sub in rule.discharges:
        for end in sub.conclusions:
            statements[end] = Implies(cited[sub.assumption], cited[end])
    if (constant := rule.arbitrary(cited, claim)) and rule.arbitrary_in is not None:
        general = statements[rule.arbitrary_in]
        statements[rule.arbitrary_in] = ForAll("v", renamed(general, {constant: "v"}))
    assumed = {sub.assumption for sub in rule.discharges}
    return [statement for place, statement in enumerate(statements) if place not in assumed]


@pytest.mark.parametrize("name", RULES)
def test_what_a_rule_concludes_from_any_formulas_follows(name: str) -> None:
    rule, num_accepted, rng = RULES[name], 0, random.Random(0)
    seen: set[tuple[Cited, Formula]] = set()
    for cited in cited_for(name, rng):
        for claim in (*(POOL if len(cited) < 2 else rng.choices(POOL, k=6)), *cited):
            try:
                claims = sorted({claim, *rule.conclude(cited, claim)}, key=str)
            except Misapplied:
                continue
            for each in claims:
                if (cited, each) in seen or len(seen) > 400:
                    continue
                if apply(rule, cited, each)[0] is Fault.NONE:
                    seen.add((cited, each))
                    assert follows(as_given(rule, cited, each), each), (name, cited, each)
                    num_accepted += 1
    assert num_accepted >= 4


@pytest.fixture(params=["with Z3 as it is", "where Z3 gives up on whatever is no single step"])
def maybe_gives_up(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "gives up" in request.param:
        monkeypatch.setattr(Entailment, "follows", lambda *_: None)


@pytest.mark.usefixtures("maybe_gives_up")
def test_z3_accepts_every_line_that_the_rules_accept_and_brute_force_confirms_it() -> None:
    compare(random.Random(0), 30, 30, least=1)


@pytest.mark.soak
@pytest.mark.usefixtures("maybe_gives_up")
def test_z3_accepts_every_line_that_the_rules_accept_in_long_runs() -> None:
    for seed in range(1, 21):
        compare(random.Random(seed), 60, 40, least=3)


def compare(rng: random.Random, num: int, num_moves: int, *, least: int) -> None:
    accepted, refused, num_passed = Counter[str](), Counter[str](), 0
    for premises, lines, checker in derivations(rng, num, num_moves):
        judged = checker.known[-1]
        asked = problem(premises, lines[-1].claim, notation="first_order")
        held = sealed.verify(asked, attempt(written(lines)))
        steps = proof(held).steps
        assert all(step.valid for step in steps[:-1]), (premises, lines, held.reason)
        if steps[-1].valid:
            assert judged.formula is not None
            # A line that Z3 alone accepts may cite less than the rules take it to rest on.
            numbers = {line.number for line in checker.known if line.rule == ASSUME}
            opened = [checker.known[number - 1].formula for number in numbers]
            given = [*FirstOrder(premises).premises, *(formula for formula in opened if formula is not None)]
            assert follows(given, judged.formula), (premises, lines)
        if judged.fault is not Fault.NONE:
            refused[judged.fault] += 1
            continue
        assert steps[-1].valid, (premises, lines, held.reason)
        opened = [checker.known[number - 1].formula for number in judged.open]
        given = [*FirstOrder(premises).premises, *(formula for formula in opened if formula is not None)]
        assert judged.formula is not None and follows(given, judged.formula), (premises, lines)
        accepted[judged.rule] += 1
        if not judged.open:
            assert rules.verify(asked, attempt(written(lines))).status is Status.PASS
            assert held.status is Status.PASS
            num_passed += 1
    assert min(accepted[rule] for rule in (*RULES, ASSUME)) >= least, accepted
    assert refused["not_arbitrary"] >= least and refused["wrong_claim"] > least and num_passed > least, (
        refused
    )


def test_what_z3_says_follows_is_what_brute_force_says() -> None:
    rng, num_followed = random.Random(2), 0
    for _ in range(300):
        given = [random_formula(rng, 2) for _ in range(3)]
        claim = random_formula(rng, 2)
        by_z3 = Entailment().follows(given, claim)
        assert by_z3 is None or follows(given, claim) or not by_z3, (given, claim)
        num_followed += bool(by_z3)
    assert num_followed > 20
