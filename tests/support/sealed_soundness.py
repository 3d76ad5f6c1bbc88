"""The sealed checker against brute force."""

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from engine.logic.fol import Fol
from engine.logic.formulas import And, Atom, ForAll, Formula, Implies, Not, Or, negate
from engine.logic.proofs import write_completion
from engine.records import Status
from engine.verify import sealed
from tests.support.proof_helpers import attempt, problem, proof
from tests.support.soundness import DOMAIN, follows, holds, random_formula

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


"""Attacks whose claims are true: the sealed checker asks for no more."""


def judge_by_brute_force(rng: random.Random, num: int) -> Counter[str]:
    """`num` proofs of lines that name, cite and claim nearly at will, of which Z3's accepted lines stay.

    Proofs that pass must follow from the premises, and any accepted line from these and all assumptions
    before it.
    """
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
            if not proof(verdict).steps[-1].valid:
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
    """A random line, mostly with an assumption where the rule closes one and a claim built from citations."""
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
    """Every interpretation, over the two things of brute force, in which the premises hold."""
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
