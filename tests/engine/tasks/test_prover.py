"""The prover: what it finds is a proof by the rules; what does not follow it does not find."""

import random

import pytest

from engine.logic import solver
from engine.logic.first_order.notation import FirstOrder, show
from engine.logic.formulas import negate
from engine.logic.proofs import write_completion
from engine.records import Status
from engine.tasks.drafts import Item
from engine.tasks.prover import Prover
from engine.verify import rules, sealed
from tests.support.proof_helpers import attempt, problem

PROVABLE = [
    (["all x (P(x) -> Q(x))", "P(a)"], "Q(a)"),
    (["all x (P(x) & R(x) -> Q(x))", "P(a)", "R(a)"], "Q(a)"),
    (["all x (P(x) -> Q(x))", "-Q(a)"], "-P(a)"),
    (["all x (P(x) -> Q(x) & R(x))", "P(a)"], "R(a) & Q(a)"),
    (["all x (P(x) | Q(x))", "-P(a)"], "Q(a)"),
    (["all x (P(x) xor Q(x))", "P(a)"], "-Q(a)"),
    (["all x (P(x) <-> Q(x))", "Q(a)"], "P(a)"),
    (["-exists x (P(x) & Q(x))", "P(a)"], "-Q(a)"),
    (["-all x P(x)", "all x (-P(x) -> Q(b))"], "Q(b)"),
    (["exists x P(x)", "all x (P(x) -> Q(x))"], "exists x Q(x)"),
    (["exists x (P(x) & R(x))", "all x (P(x) -> Q(a))"], "Q(a)"),
    (["all x (P(x) -> Q(x))", "all x (Q(x) -> R(x))"], "all x (P(x) -> R(x))"),
    (["all x (P(x) -> Q(x))", "all x (Q(x) -> -R(x))"], "all x (R(x) -> -P(x))"),
    (["P(a) | Q(a)", "P(a) -> R(a)", "Q(a) -> R(a)"], "R(a)"),
    (["P(a) xor Q(a)", "P(a) -> R(a)", "Q(a) -> R(a)"], "R(a)"),
    (["all x (P(x) -> Q(x))"], "P(a) -> Q(a)"),
    (["-Q(a)", "P(a) | Q(a)"], "P(a) xor Q(a)"),
    (["P(a)", "-Q(b)"], "-(P(a) -> Q(b))"),
    (["all x all y (R(x, y) -> Q(y))", "R(a, b)"], "Q(b)"),
    (["P(a) -> Q(a)", "-P(a) -> Q(a)"], "Q(a)"),
    (["P(a)"], "exists x P(x)"),
]


@pytest.mark.parametrize(("premises", "goal"), PROVABLE)
def test_what_is_found_passes_both_checkers(premises: list[str], goal: str) -> None:
    notation = FirstOrder(premises)
    asked = notation.read_question(goal)
    lines = Prover([Item(premise) for premise in notation.premises]).prove(asked)
    assert lines is not None
    text = write_completion(
        [(number, show(claim), rule, cited) for number, claim, rule, cited in lines], "True"
    )
    shown = problem(premises, goal, notation="first_order")
    for verify in (rules.verify, sealed.verify):
        verdict = verify(shown, attempt(text))
        assert verdict.status is Status.PASS, (text, verdict.reason)


@pytest.mark.parametrize(("premises", "goal"), PROVABLE)
def test_the_opposite_and_what_lacks_a_premise_are_not_found(premises: list[str], goal: str) -> None:
    notation = FirstOrder(premises)
    asked = notation.read_question(goal)
    assert Prover([Item(premise) for premise in notation.premises]).prove(negate(asked)) is None
    fewer = notation.premises[:-1]
    if solver.entails(fewer, asked) is False:
        assert Prover([Item(premise) for premise in fewer]).prove(asked) is None


def test_a_premise_needs_no_line() -> None:
    notation = FirstOrder(["P(a)"])
    assert Prover([Item(premise) for premise in notation.premises]).prove(notation.premises[0]) == []


@pytest.mark.slow
def test_it_gives_up_where_it_would_draw_without_end() -> None:
    rng = random.Random(0)
    names = [f"a{i}" for i in range(9)]
    texts = [f"R({rng.choice(names)}, {rng.choice(names)})" for _ in range(40)]
    texts = list(dict.fromkeys([*texts, "all x all y all z (R(x, y) & R(y, z) -> R(x, z))", "P(a0) | P(a1)"]))
    notation = FirstOrder([*texts, "all x all y (R(x, y) -> P(x) | P(y))"])
    asked = notation.read_question("all x (P(x) -> exists y (R(y, x) & -P(y)))")
    assert Prover([Item(premise) for premise in notation.premises]).prove(asked) is None
