"""Random formulas and derivations, judged by brute force over small domains."""

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from engine.logic.checker import ProofChecker
from engine.logic.fol import Fol
from engine.logic.formulas import And, Atom, ForAll, Formula, Implies, Not, Or, negate, substitute
from engine.logic.notation import Notation
from engine.logic.proofs import Line, write_completion
from engine.logic.rules import ASSUME
from engine.logic.rules import RULES as ALL_RULES
from engine.logic.rules.base import Misapplied
from engine.records import Fault

CONSTANTS, DOMAIN = ("a", "b"), (0, 1)
RULES = {
    name: ALL_RULES[name]
    for name in ("mp", "mt", "hs", "ds", "and_i", "and_e", "or_i", "or_e", "dn", "cp", "raa", "ui")
}
"""Those of the notation `fol`; `tests.support.first_order` has all rules."""


INTERPRETATIONS: list[dict[str, Any]] = [
    {"a": a, "b": b, "P": p, "Q": q, "A": s, "B": t}
    for a, b in itertools.product(DOMAIN, repeat=2)
    for p, q in itertools.product(itertools.product((False, True), repeat=2), repeat=2)
    for s, t in itertools.product((False, True), repeat=2)
]


def holds(formula: Formula, world: dict[str, Any]) -> bool:
    match formula:
        case Atom(name, ()):
            return world[name]
        case Atom(name, (arg,)):
            return world[name][world[arg]]
        case Not(body):
            return not holds(body, world)
        case And(left, right):
            return holds(left, world) and holds(right, world)
        case Or(left, right):
            return holds(left, world) or holds(right, world)
        case Implies(left, right):
            return not holds(left, world) or holds(right, world)
        case ForAll(variable, body):
            return all(holds(body, {**world, variable: thing}) for thing in DOMAIN)
    raise AssertionError(formula)


def follows(from_these: list[Formula], claim: Formula) -> bool:
    return all(holds(claim, world) for world in INTERPRETATIONS if all(holds(f, world) for f in from_these))


def random_formula(rng: random.Random, depth: int, scope: tuple[str, ...] = ()) -> Formula:
    kind = rng.random()
    if depth == 0 or kind < 0.25:
        name = rng.choice(("P", "Q", "P", "Q", "A", "B"))
        return Atom(name, (rng.choice(CONSTANTS + scope * 2),) if name in "PQ" else ())
    if kind < 0.4:
        return Not(random_formula(rng, depth - 1, scope))
    if kind < 0.55 and not scope:
        return ForAll("x", random_formula(rng, depth - 1, ("x",)))
    connective = rng.choice((And, Or, Implies, Implies))
    return connective(random_formula(rng, depth - 1, scope), random_formula(rng, depth - 1, scope))


def random_line(rng: random.Random, checker: ProofChecker) -> tuple[str, tuple[int, ...], Formula]:
    """A rule, citations to which it applies, and a claim: mostly the rule's own, or nearly that, or any.

    One line in ten is random altogether.
    """
    known = {
        line.number: line.formula
        for line in checker.known
        if line.formula is not None and (not line.open & checker.closed or rng.random() < 0.05)
    }
    guess = random_formula(rng, 2)
    for rule in rng.choices((*RULES, ASSUME, *(ASSUME, "mp", "or_e", "raa") * 3), k=10):
        if rule == ASSUME:
            return rule, (), rng.choice(_useful_assumptions(list(known.values())))
        fitting = list(_fitting(rng, rule, checker, known))
        if fitting and rng.random() < 0.9:
            citations, claim = rng.choice(fitting)
            claim = guess if rng.random() < 0.1 else claim
            return rule, citations, negate(claim) if rng.random() < 0.1 else claim
    rule = rng.choice(list(RULES))
    return rule, tuple(rng.choices(list(known), k=RULES[rule].num_cited or 2)), guess


def _fitting(
    rng: random.Random, rule: str, checker: ProofChecker, known: dict[int, Formula]
) -> Iterator[tuple[tuple[int, ...], Formula]]:
    """Citations to which a rule applies, each with a claim that it gives."""
    draws: Iterable[tuple[int, ...]] = itertools.product(known, repeat=RULES[rule].num_cited or 2)
    if rule == "or_e":
        draws = _cases(checker)
    elif RULES[rule].discharges:
        draws = (d for d in draws if checker.known[d[0] - 1].rule == ASSUME)
    for citations in draws:
        if not known.keys() >= set(citations):
            continue
        cited = tuple(known[number] for number in citations)
        claim = Or(cited[0], rng.choice(list(known.values())))
        if rule == "ui" and isinstance(cited[0], ForAll):
            claim = substitute(cited[0].body, {"x": rng.choice(CONSTANTS)})
        try:
            conclusions = RULES[rule].conclude(cited, claim)
        except Misapplied:
            continue
        # A claim that was there is new only on other assumptions.
        new = [claim for claim in conclusions if RULES[rule].discharges or claim not in known.values()]
        yield from ((citations, claim) for claim in (new if rng.random() < 0.7 else conclusions))


def _cases(checker: ProofChecker) -> Iterator[tuple[int, ...]]:
    """Citations that look like proofs by cases, whether or not the second end rests on its case."""
    assumed = [line for line in checker.known if line.rule == ASSUME]
    ends = [pair for pair in itertools.product(checker.known, repeat=2) if pair[0].formula == pair[1].formula]
    for either, left, right in itertools.product(checker.known, assumed, assumed):
        if isinstance(either.formula, Or) and (left.formula, right.formula) == (
            either.formula.left,
            either.formula.right,
        ):
            for one, other in ends:
                if one != other and left.number in one.open:
                    yield either.number, left.number, one.number, right.number, other.number


def _useful_assumptions(known: list[Formula]) -> list[Formula]:
    """Assumptions that a discharging rule could use: sides of disjunctions, conditions, denials."""
    useful: list[Formula] = []
    for formula in known:
        if isinstance(formula, Or):
            useful += [formula.left, formula.right]
        elif isinstance(formula, Implies):
            useful += [formula.left, Not(formula.right)]
    return useful


POOL = Fol(
    """A; B; -A; --A; -B; P(a); Q(a); P(b); Q(b); -P(a); -Q(a); A & B; B & A; A | B; B | A; -A | B
    A -> B; B -> A; A -> -B; -A -> B; A & B -> P(a); P(a) & Q(b) -> A; all x P(x); all x -Q(x)
    all x (P(x) -> Q(x)); all x (Q(x) -> P(x)); all x (P(x) -> -Q(x)); all x (P(x) & Q(x) -> A)
    all x (A -> P(x)); all x (P(x) | Q(x)); all x P(x) -> A; all x (P(x) -> all y Q(y))
    all x (P(x) -> A); all x A""".replace("\n   ", ";").split(";")
).premises


SMALL = Fol(["A", "B", "-A", "P(a)", "A | B", "B | A", "A | A"]).premises


def _claims(
    conclude: Callable[[tuple[Formula, ...], Formula], tuple[Formula, ...]], cited: tuple[Formula, ...]
) -> set[Formula]:
    """The rule's conclusions and everything in the pool; nothing where the rule does not apply."""
    try:
        return {*conclude(cited, cited[0]), *POOL}
    except Misapplied:
        return set()


CASES = (("assume", (), "A"), ("mp", (2, 7), "P(a)"), ("assume", (), "B"), ("mp", (3, 9), "P(a)"))


"""The opening of a proof by cases, which chance alone would seldom find."""


def derivations(
    rng: random.Random, num: int, num_moves: int
) -> Iterator[tuple[list[str], list[Line], ProofChecker]]:
    """Random proofs, move by move: premises, the accepted lines with one more, and the checker after that."""
    for trial in range(num):
        premises = ["A | B", "A -> P(a)", "B -> P(a)", "all x (P(x) -> Q(x))", "-Q(b)"]
        premises.append(Fol(()).show(random_formula(rng, 2)))
        notation = Fol(premises)
        lines: list[Line] = []
        checker = ProofChecker(notation)
        for move in range(num_moves):
            if trial % 2 and move < len(CASES):
                rule, citations, text = CASES[move]
                claim = notation.parse(text)
            else:
                rule, citations, claim = random_line(rng, checker)
            number = len(premises) + len(lines) + 1
            line = Line(text="", number=number, claim=notation.show(claim), rule=rule, citations=citations)
            tried = judge_lines(notation, [*lines, line])
            yield premises, [*lines, line], tried
            if tried.known[-1].fault is Fault.NONE:
                lines, checker = [*lines, line], tried


def judge_lines(notation: Notation, lines: Iterable[Line]) -> ProofChecker:
    checker = ProofChecker(notation)
    for line in lines:
        checker.add(line)
    return checker


def written(lines: Iterable[Line]) -> str:
    """The lines as a completion that answers True."""
    return write_completion([(line.number, line.claim, line.rule, line.citations) for line in lines], "True")
