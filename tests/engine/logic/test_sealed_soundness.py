"""Brute force confirms whatever the sealed checker passes, whatever rules a proof names."""

import random

import pytest

from engine.logic.english import English
from engine.logic.entailment import Entailment
from engine.logic.fol import Fol
from engine.logic.formulas import Atom, Not, negate
from engine.records import Status
from engine.verify import sealed
from tests.support.attacks import ATTACKS, Attack
from tests.support.proof_helpers import attempt, problem
from tests.support.sealed_soundness import (
    CLOSING,
    SOUND_ATTACKS,
    _has_quantifier,
    judge_by_brute_force,
    worlds_of,
)
from tests.support.soundness import follows, holds, random_formula

pytestmark = pytest.mark.slow


def test_of_the_attacks_exactly_the_sound_ones_pass() -> None:
    passed = []
    for name, attack in ATTACKS.items():
        asked = problem(attack.premises, attack.question, attack.gold, notation=attack.notation)
        verdict = sealed.verify(asked, attempt(attack.text))
        assert verdict.status is Status.PASS or (verdict.status is Status.FAIL and verdict.reason), name
        passed += [name] if verdict.status is Status.PASS else []
    assert sorted(passed) == sorted(SOUND_ATTACKS)


@pytest.mark.parametrize("name", SOUND_ATTACKS)
def test_brute_force_says_that_an_attack_that_passes_is_sound(name: str) -> None:
    attack: Attack = ATTACKS[name]
    notation = English(attack.premises) if attack.notation == "english" else Fol(attack.premises)
    asked = notation.parse(attack.question)
    claim = asked if attack.text.endswith("Answer: True") else negate(asked)
    worlds = worlds_of(notation.premises)
    assert all(holds(claim, world) for world in worlds)
    assert worlds or name.startswith("contradictory")  # from which everything follows


def test_what_z3_says_follows_is_what_brute_force_says() -> None:
    """Over the few worlds of brute force an entailment can only hold more often than over all."""
    rng, num_followed = random.Random(2), 0
    entailment = Entailment()
    for _ in range(400):
        given = [random_formula(rng, 2) for _ in range(3)]
        claim = random_formula(rng, 2)
        by_z3 = entailment.follows(given, claim)
        assert by_z3 is not None and (follows(given, claim) or not by_z3)
        num_followed += by_z3
    assert num_followed > 30
    ground = [f for f in (random_formula(rng, 2) for _ in range(400)) if not _has_quantifier(f)]
    for one, other in zip(ground[::2], ground[1::2], strict=False):
        assert entailment.follows([one], other) == follows([one], other)


def test_premises_that_only_an_endless_world_satisfies_are_given_up() -> None:
    order = ("all x all y all z (R(x, y) & R(y, z) -> R(x, z))", "all x -R(x, x)", "all x -all y -R(x, y)")
    given = Fol([*order, "P(a)"]).premises
    entailment = Entailment()
    assert entailment.follows(given, Atom("P", ("a",))) is True
    assert entailment.follows(given, Not(Atom("P", ("a",)))) is None


def test_brute_force_says_that_what_passes_follows_whatever_rules_it_names() -> None:
    found = judge_by_brute_force(random.Random(0), 80)
    assert found["refused"] > 200 and found["PASS"] > 50 and min(found[rule] for rule in CLOSING) > 5, found
