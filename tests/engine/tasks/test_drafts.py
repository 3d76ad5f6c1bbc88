"""Proofs in the making: whatever joins known facts is proved or refuted, and the rules accept every line."""

import itertools
import random

import pytest

from engine.logic.first_order.notation import FirstOrder, show
from engine.logic.formulas import And, Atom, Formula, Iff, Implies, Not, Or, Xor, negate
from engine.logic.proofs import write_completion
from engine.records import Status
from engine.tasks.drafts import Draft, Item, settle
from engine.verify import rules, sealed
from tests.support.proof_helpers import attempt, problem

FACTS: tuple[Formula, ...] = (Atom("P", ("a",)), Not(Atom("Q", ("a",))), Atom("R", ("b",)), Not(Atom("S")))
JOINS = (And, Or, Implies, Xor, Iff)


def value(formula: Formula) -> bool:
    match formula:
        case Not(body):
            return not value(body)
        case And(left, right):
            return value(left) and value(right)
        case Or(left, right):
            return value(left) or value(right)
        case Implies(left, right):
            return not value(left) or value(right)
        case Xor(left, right):
            return value(left) != value(right)
        case Iff(left, right):
            return value(left) == value(right)
    return formula in FACTS


def require_settled(asked: Formula) -> None:
    premises, draft = [Item(fact) for fact in FACTS], Draft()
    holds, item = settle(draft, asked, {each.claim: each for each in premises})
    assert holds == value(asked) and item.claim == (asked if holds else negate(asked))
    rows = draft.numbered(premises, item)
    text = write_completion([(n, show(claim), rule, cited) for n, claim, rule, cited in rows], str(holds))
    shown = problem([show(fact) for fact in FACTS], show(asked), str(holds), notation="first_order")
    for verify in (rules.verify, sealed.verify):
        verdict = verify(shown, attempt(text))
        assert verdict.status is Status.PASS, (show(asked), text, verdict.reason)


def needs_a_known_assumption(asked: Formula) -> bool:
    """Whether a condition or an equivalence in it has two true sides."""
    match asked:
        case Not(body):
            return needs_a_known_assumption(body)
        case And(left, right) | Or(left, right) | Xor(left, right) | Implies(left, right) | Iff(left, right):
            both = isinstance(asked, Implies | Iff) and value(left) and value(right)
            return both or needs_a_known_assumption(left) or needs_a_known_assumption(right)
    return False


def require(asked: Formula) -> bool:
    """Settled, or said to have no proof where that is so; True where it is settled."""
    if not needs_a_known_assumption(asked):
        require_settled(asked)
        return True
    with pytest.raises(KeyError):
        settle(Draft(), asked, {fact: Item(fact) for fact in FACTS})
    return False


@pytest.mark.parametrize("join", JOINS)
def test_every_connective_is_settled_for_every_combination_of_facts(join: type[And]) -> None:
    for one, other in itertools.permutations(FACTS, 2):
        for left, right in itertools.product((one, negate(one)), (other, negate(other))):
            require(join(left, right))
            require(Not(join(left, right)))


def test_random_statements_about_facts_are_settled() -> None:
    rng, num = random.Random(0), 0
    for _ in range(200):
        parts = [rng.choice((fact, negate(fact))) for fact in rng.sample(FACTS, 4)]
        while len(parts) > 1:
            at = rng.randrange(len(parts) - 1)
            joined = rng.choice(JOINS)(parts[at], parts[at + 1])
            parts[at : at + 2] = [Not(joined) if rng.random() < 0.2 else joined]
        num += require(parts[0])
    assert num > 90, num


def test_what_is_not_known_is_not_settled() -> None:
    with pytest.raises(KeyError):
        settle(Draft(), And(FACTS[0], Atom("T")), {FACTS[0]: Item(FACTS[0])})


def test_only_needed_lines_are_numbered_and_in_their_order() -> None:
    premise = Item(FACTS[0])
    draft = Draft()
    draft.line(Or(FACTS[0], FACTS[2]), "or_i", premise)
    doubled = draft.line(Not(Not(FACTS[0])), "dn", premise)
    draft.assume(FACTS[3])
    last = draft.line(Or(doubled.claim, FACTS[3]), "or_i", doubled)
    assert [(n, rule, cited) for n, _, rule, cited in draft.numbered([premise], last)] == [
        (2, "dn", (1,)),
        (3, "or_i", (2,)),
    ]
    assert FirstOrder([show(premise.claim)]).premises == (premise.claim,)
