"""Attacks on the rules of first-order logic: neither checker accepts one, whatever Z3 is asked."""

import pytest

from engine.logic.entailment import Entailment
from engine.logic.first_order.notation import FirstOrder
from engine.logic.solver import entails
from engine.records import Status
from engine.verify import load_verifier, rules, sealed
from tests.support.first_order_attacks import ATTACKS
from tests.support.proof_helpers import attempt, problem


@pytest.mark.parametrize("name", ATTACKS)
def test_neither_checker_accepts_an_attack(name: str) -> None:
    attack = ATTACKS[name]
    notation = FirstOrder(attack.premises)
    assert entails(notation.premises, notation.read_question(attack.question)) is False
    for gold in ("True", ""):
        asked = problem(attack.premises, attack.question, gold, notation="first_order")
        given = attempt(f"{attack.lines}\nAnswer: True")
        by_rules, by_z3 = rules.verify(asked, given), sealed.verify(asked, given)
        assert by_rules.status is Status.FAIL and not (by_rules.proof and by_rules.proof.valid)
        assert by_rules.fault == attack.fault, by_rules.reason
        assert by_rules.reason and len(by_rules.reason) < 300
        assert by_z3.status is Status.FAIL and by_z3.reason, by_z3
        assert not (by_z3.proof and by_z3.proof.valid)
        assert load_verifier("rules + z3")(asked, given).status is Status.FAIL


@pytest.mark.parametrize("name", ATTACKS)
def test_z3_that_gives_up_accepts_none_as_a_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Entailment, "follows", lambda *_: None)
    attack = ATTACKS[name]
    asked = problem(attack.premises, attack.question, notation="first_order")
    assert sealed.verify(asked, attempt(f"{attack.lines}\nAnswer: True")).status is not Status.PASS
