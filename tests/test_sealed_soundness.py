"""What the sealed checker passes, brute force confirms, whatever rules a proof names."""

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from engine.logic.english import English
from engine.logic.entailment import Entailment
from engine.logic.fol import Fol
from engine.logic.formulas import And, Atom, ForAll, Formula, Implies, Not, Or, negate
from engine.logic.proofs import write_completion
from engine.records import Status
from engine.verifiers import sealed
from tests.proof_helpers import attempt, problem
from tests.test_attacks import ATTACKS, Attack
from tests.test_soundness import DOMAIN, follows, holds, random_formula

CLOSING = ("cp", "raa", "or_e")
_CONSTANT = -1
SOUND_ATTACKS = (
    "duplicate citation",
    "duplicate citation of one line for two places",
    "superfluous citation",
    "wrong rule",
    "several steps in one",
    "premise restated as progress",
    "premise restated by assuming it",
    "premise restated as the whole proof",
    "claim repeated",
    "claim repeated in other letters",
    "contradictory citations",
    "contradictory citations under an idle assumption",
)
"""What each of them claims is true, and the sealed checker asks for no more."""


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
        said = entailment.follows(given, claim)
        assert said is not None and (follows(given, claim) or not said)
        num_followed += said
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


def judge_by_brute_force(rng: random.Random, num: int) -> Counter[str]:
    """`num` proofs of lines that name, cite and claim nearly at will; those that Z3 accepts stay. What passes
    must follow from the premises, and any accepted line from them and all that was assumed before it."""
    found: Counter[str] = Counter()
    for _ in range(num):
        premises = ["A | B", "A -> P(a)", "B -> P(a)", "all x (P(x) -> Q(x))", "-Q(b)"]
        notation = Fol([*premises, Fol(()).show(random_formula(rng, 2))])
        premises = [notation.show(premise) for premise in notation.premises]
        known, assumed = list(notation.premises), dict[int, Formula]()
        lines: list[tuple[int, str, str, tuple[int, ...]]] = []
        for _ in range(10):
            rule, citations, claim = _line_at_will(rng, known, list(assumed))
            tried = [*lines, (len(known) + 1, notation.show(claim), rule, citations)]
            verdict = sealed.verify(problem(premises, tried[-1][1]), attempt(write_completion(tried, "True")))
            if not verdict.steps[-1].valid:
                found["refused"] += 1
                continue
            lines = tried
            known.append(claim)
            assumed |= {len(known): claim} if rule == "assume" else {}
            assert follows([*notation.premises, *assumed.values()], claim), (premises, lines)
            if verdict.status is Status.PASS:
                assert follows(list(notation.premises), claim), (premises, lines)
                found.update(("PASS", rule))
    return found


def _line_at_will(
    rng: random.Random, known: Sequence[Formula], assumed: Sequence[int]
) -> tuple[str, tuple[int, ...], Formula]:
    """Mostly with an assumption where the rule closes one, and with a claim made of what it cites."""
    rule = rng.choice((*CLOSING, *CLOSING, "assume", "mp", "no rule")) if assumed else "assume"
    if rule == "assume":
        return rule, (), rng.choice([*known, random_formula(rng, 1)])
    sizes = {"cp": 2, "raa": 3, "or_e": 5}
    citations = [rng.randrange(1, len(known) + 1) for _ in range(sizes.get(rule, rng.randrange(1, 4)))]
    for place in {"cp": (0,), "raa": (0,), "or_e": (1, 3)}.get(rule, ()):
        citations[place] = rng.choice(assumed) if rng.random() < 0.8 else citations[place]
    cited = [known[number - 1] for number in citations]
    claims = [
        Implies(cited[0], cited[-1]),
        negate(cited[0]),
        cited[-1],
        rng.choice(known),
        random_formula(rng, 1),
    ]
    return rule, tuple(citations), rng.choice(claims)


def worlds_of(premises: Sequence[Formula]) -> list[dict[str, Any]]:
    """Every interpretation, over the two things of brute force, in which they hold."""
    symbols = set().union(*(_symbols(premise, frozenset()) for premise in premises))
    ranges = {
        _CONSTANT: DOMAIN,
        0: (False, True),
        1: tuple(itertools.product((False, True), repeat=len(DOMAIN))),
    }
    meanings = itertools.product(*(ranges[kind] for _, kind in symbols))
    worlds = [dict(zip((name for name, _ in symbols), meaning, strict=True)) for meaning in meanings]
    return [world for world in worlds if all(holds(premise, world) for premise in premises)]


def _symbols(formula: Formula, bound: frozenset[str]) -> set[tuple[str, int]]:
    """Each name with a predicate's number of arguments or `_CONSTANT`."""
    match formula:
        case Atom(name, args):
            return {(name, len(args)), *((arg, _CONSTANT) for arg in args if arg not in bound)}
        case Not(body):
            return _symbols(body, bound)
        case ForAll(variable, body):
            return _symbols(body, bound | {variable})
        case And(left, right) | Or(left, right) | Implies(left, right):
            return _symbols(left, bound) | _symbols(right, bound)


def _has_quantifier(formula: Formula) -> bool:
    match formula:
        case Atom():
            return False
        case Not(body):
            return _has_quantifier(body)
        case And(left, right) | Or(left, right) | Implies(left, right):
            return _has_quantifier(left) or _has_quantifier(right)
        case ForAll():
            return True
