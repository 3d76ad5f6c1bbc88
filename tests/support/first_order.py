"""Random first-order formulas and derivations, judged by brute force over all small worlds."""

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from engine.logic.checker import ProofChecker
from engine.logic.first_order.notation import FirstOrder, parse
from engine.logic.formulas import (
    And,
    Atom,
    Equals,
    Exists,
    ForAll,
    Formula,
    Iff,
    Implies,
    Not,
    Or,
    Xor,
    constants_of,
    negate,
    parts,
    substitute,
)
from engine.logic.models import Model
from engine.logic.proofs import Line, read_completion
from engine.logic.rules import ASSUME, RULES
from engine.logic.rules.base import Misapplied
from engine.records import Fault
from tests.support.soundness import judge_lines

CONSTANTS = ("a", "b", "c1", "c2")
PREDICATES = {"A": 0, "B": 0, "P": 1, "Q": 1, "R": 2}
JOINS = (And, Or, Xor, Implies, Iff)


class Worlds:
    """All worlds of so many things, at once: a formula is true in some of them."""

    def __init__(
        self,
        num_things: int,
        constants: Sequence[str] = CONSTANTS,
        predicates: dict[str, int] | None = None,
    ) -> None:
        predicates = PREDICATES if predicates is None else predicates
        self.things = range(num_things)
        keys: list[tuple[Any, int]] = [(name, num_things) for name in constants]
        for name, arity in predicates.items():
            keys += [((name, row), 2) for row in itertools.product(self.things, repeat=arity)]
        count = 1
        self._values: dict[Any, Any] = {}
        total = int(np.prod([size for _, size in keys], dtype=np.int64))
        places = np.arange(total)
        for key, size in keys:
            values = (places // count) % size
            self._values[key] = values.astype(bool) if isinstance(key, tuple) else values.astype(np.int8)
            count *= size
        self._total = total

    def true_in(self, formula: Formula, bound: dict[str, int] | None = None) -> Any:
        """For each world whether a formula is true there."""
        bound = bound or {}
        match formula:
            case Atom(name, args):
                found = np.zeros(self._total, dtype=bool)
                for row in itertools.product(self.things, repeat=len(args)):
                    is_there = np.ones(self._total, dtype=bool)
                    for arg, thing in zip(args, row, strict=True):
                        is_there &= self._thing(arg, bound) == thing
                    found |= is_there & self._values[name, row]
                return found
            case Equals(left, right):
                return np.broadcast_to(self._thing(left, bound) == self._thing(right, bound), self._total)
            case Not(body):
                return ~self.true_in(body, bound)
            case And(left, right):
                return self.true_in(left, bound) & self.true_in(right, bound)
            case Or(left, right):
                return self.true_in(left, bound) | self.true_in(right, bound)
            case Xor(left, right):
                return self.true_in(left, bound) ^ self.true_in(right, bound)
            case Implies(left, right):
                return ~self.true_in(left, bound) | self.true_in(right, bound)
            case Iff(left, right):
                return self.true_in(left, bound) == self.true_in(right, bound)
            case ForAll(variable, body):
                return np.all([self.true_in(body, {**bound, variable: t}) for t in self.things], axis=0)
            case Exists(variable, body):
                return np.any([self.true_in(body, {**bound, variable: t}) for t in self.things], axis=0)
        raise AssertionError(formula)

    def place_of(self, model: Model) -> int:
        """Which of the worlds a model is."""
        is_it = np.ones(self._total, dtype=bool)
        for key, values in self._values.items():
            if isinstance(key, tuple):
                name, row = key
                is_it &= values == (row in model.predicates[name, len(row)])
            else:
                is_it &= values == model.constants[key]
        (place,) = np.flatnonzero(is_it)
        return int(place)

    def _thing(self, term: str, bound: dict[str, int]) -> Any:
        return bound[term] if term in bound else self._values[term]

    def follows(self, given: Sequence[Formula], claim: Formula) -> bool:
        """Whether a claim is true in every world in which all that is given is."""
        left = np.ones(self._total, dtype=bool)
        for formula in given:
            left &= self.true_in(formula)
        return not np.any(left & ~self.true_in(claim))


SMALL = (Worlds(1), Worlds(2))


def follows(given: Sequence[Formula], claim: Formula) -> bool:
    """In all worlds of one or two things."""
    return all(worlds.follows(given, claim) for worlds in SMALL)


def random_formula(
    rng: random.Random,
    depth: int,
    scope: tuple[str, ...] = (),
    *,
    constants: Sequence[str] = ("a", "b"),
    predicates: dict[str, int] | None = None,
) -> Formula:
    def inner(scope: tuple[str, ...] = scope) -> Formula:
        return random_formula(rng, depth - 1, scope, constants=constants, predicates=predicates)

    kind = rng.random()
    terms = (*constants, *scope * 3)
    if depth == 0 or kind < 0.2:
        name, arity = rng.choice(list((PREDICATES if predicates is None else predicates).items()))
        if arity == 2 and rng.random() < 0.3:
            return Equals(rng.choice(terms), rng.choice(terms))
        return Atom(name, tuple(rng.choice(terms) for _ in range(arity)))
    if kind < 0.35:
        return Not(inner())
    if kind < 0.55 and len(scope) < 2:
        variable = ("x", "y")[len(scope)]
        return rng.choice((ForAll, Exists))(variable, inner((*scope, variable)))
    return rng.choice(JOINS)(inner(), inner())


PREMISES = (
    "A | B",
    "A -> P(a)",
    "B -> P(a)",
    "all x (P(x) -> Q(x))",
    "exists x R(a, x)",
    "A xor Q(b)",
    "A <-> P(b)",
    "-(A & Q(b))",
    "-all x R(x, b)",
    "all x all y (R(x, y) -> P(y))",
)
RARE = ("mt", "ds", "cp", "raa", "or_e", "cases", "ee", "ug", "eq_e", "iff_i", "xor_e", "and_e", ASSUME)
"""Rules that seldom apply to what happens to be there."""
ARBITRARY = "P(c1) [assume] [{0}]\nQ(c1) [4 {0} mp] [{1}]\nP(c1) -> Q(c1) [{0} {1} cp] [{2}]"
OPENINGS = (
    "",
    "A [assume] [{0}]\nP(a) [2 {0} mp] [{1}]\nB [assume] [{2}]\nP(a) [3 {2} mp] [{3}]",
    "-A [assume] [{0}]\nB [1 {0} ds] [{1}]\nP(a) [3 {1} mp] [{2}]\nA [assume] [{3}]\nP(a) [2 {3} mp] [{4}]",
    "R(a, c1) [assume] [{0}]\nP(c1) [10 {0} mp] [{1}]\nexists y P(y) [{1} eg] [{2}]",
    ARBITRARY,
    "a = b [assume] [{0}]\nR(b, c1) [assume] [{1}]",
)
"""Lines that chance alone would seldom find: cases, a thing that there is, and an arbitrary one."""


def derivations(
    rng: random.Random, num: int, num_moves: int
) -> Iterator[tuple[list[str], list[Line], ProofChecker]]:
    """Random proofs, move by move: premises, the accepted lines with one more, and the checker after that."""
    for trial in range(num):
        notation = FirstOrder([*PREMISES, FirstOrder(()).show(random_formula(rng, 2))])
        premises = [notation.show(premise) for premise in notation.premises]
        first = len(premises) + 1
        lines = list(_lines(OPENINGS[trial % len(OPENINGS)], first))
        checker = judge_lines(notation, lines)
        if any(line.reason for line in checker.known):
            continue  # the last premise says what the opening would
        for _ in range(num_moves):
            rule, citations, claim = _move(rng, checker)
            number = first + len(lines)
            line = Line(text="", number=number, claim=notation.show(claim), rule=rule, citations=citations)
            tried = judge_lines(notation, [*lines, line])
            yield premises, [*lines, line], tried
            if tried.known[-1].fault is Fault.NONE:
                lines, checker = [*lines, line], tried


def _lines(text: str, first: int) -> Iterator[Line]:
    filled = text.format(*range(first, first + 9))
    yield from read_completion(f"{filled}\nAnswer: True").lines if text else ()


def _move(rng: random.Random, checker: ProofChecker) -> tuple[str, tuple[int, ...], Formula]:
    """A rule, citations to which it applies, and a claim: mostly the rule's own, or nearly that, or any."""
    known = {
        line.number: line.formula
        for line in checker.known
        if line.formula is not None and (not line.open & checker.closed or rng.random() < 0.05)
    }
    for rule in rng.choices((*RULES, ASSUME, *RARE * 4), k=12):
        if rule == ASSUME:
            return rule, (), _assumption(rng, list(known.values()))
        fitting = list(_fitting(rng, rule, checker, known))
        if fitting and rng.random() < 0.95:
            citations, claim = rng.choice(fitting)
            return rule, citations, _nearly(rng, claim) if rng.random() < 0.2 else claim
    rule = rng.choice(list(RULES))
    num = RULES[rule].num_cited
    return rule, tuple(rng.choices(list(known), k=2 if num is None else num)), random_formula(rng, 2)


def _nearly(rng: random.Random, claim: Formula) -> Formula:
    """A claim with a slip: a negation, another name, the other quantifier, sides swapped."""
    match rng.randrange(5), claim:
        case 0, _:
            return Not(claim)
        case 1, ForAll(variable, body):
            return Exists(variable, body)
        case 1, Exists(variable, body):
            return ForAll(variable, body)
        case 2, And() | Or() | Implies() | Iff() | Xor():
            return type(claim)(claim.right, claim.left)
    names = sorted(constants_of(claim))
    return renamed(claim, {rng.choice(names): rng.choice(CONSTANTS)}) if names else random_formula(rng, 2)


def renamed(formula: Formula, names: dict[str, str]) -> Formula:
    """Constants replaced: `substitute` does that as well, as no variable has a constant's name."""
    return substitute(formula, names)


def _assumption(rng: random.Random, known: list[Formula]) -> Formula:
    """One that a discharging rule could use: a side, a condition, an instance, or any."""
    useful: list[Formula] = [random_formula(rng, 1, constants=CONSTANTS)]
    for formula in known:
        match formula:
            case Or(left, right):
                useful += [left, right]
            case Implies(left, _):
                useful.append(left)
            case Exists(variable, body) | ForAll(variable, body):
                useful.append(substitute(body, {variable: rng.choice(CONSTANTS)}))
    return rng.choice(useful)


def _fitting(
    rng: random.Random, rule: str, checker: ProofChecker, known: dict[int, Formula]
) -> Iterator[tuple[tuple[int, ...], Formula]]:
    """Citations to which a rule applies, each with a claim that it gives."""
    for citations in _draws(rng, rule, checker, known):
        cited = tuple(known[number] for number in citations)
        for claim in _claims(rng, rule, cited, known):
            try:
                conclusions = RULES[rule].conclude(cited, claim)
            except Misapplied:
                continue
            new = [each for each in conclusions if RULES[rule].discharges or each not in known.values()]
            yield from ((citations, each) for each in (new if rng.random() < 0.8 else conclusions))


def _draws(
    rng: random.Random, rule: str, checker: ProofChecker, known: dict[int, Formula]
) -> list[tuple[int, ...]]:
    num = RULES[rule].num_cited
    size = 2 if num is None else num
    if size <= 2:
        draws = list(itertools.product(known, repeat=size))
        return draws if rule in ("cp", "ug", "eg") else rng.sample(draws, min(len(draws), 150))
    assumed = [line.number for line in checker.known if line.rule == ASSUME and line.number in known]
    found: list[tuple[int, ...]] = []
    for _ in range(200 if assumed else 0):
        one = rng.choice(assumed)
        denials = [number for number in assumed if negate(known[number]) == known[one]]
        other = rng.choice(denials if denials and rule == "cases" else assumed)
        ends = [n for n in known if one in checker.known[n - 1].open] or list(known)
        last = rng.choice(ends)
        same = [n for n, formula in known.items() if formula == known[last]]
        same = [n for n in same if other in checker.known[n - 1].open] or same
        match rule:
            case "raa":
                found.append((one, last, rng.choice(list(known))))
            case "ee":
                found.append((rng.choice(list(known)), one, last))
            case "cases":
                found.append((one, last, other, rng.choice(same)))
            case "or_e":
                found.append((rng.choice(list(known)), one, last, other, rng.choice(same)))
    return found


def _claims(
    rng: random.Random, rule: str, cited: tuple[Formula, ...], known: dict[int, Formula]
) -> list[Formula]:
    """Claims that a rule may give where the claim selects among its conclusions; any other for the rest."""
    anything = rng.choice(list(known.values()))
    match rule:
        case "or_i":
            return [Or(cited[0], anything), Or(anything, cited[0])]
        case "ui":
            body = cited[0].body if isinstance(cited[0], ForAll) else cited[0]
            variable = cited[0].variable if isinstance(cited[0], ForAll) else "x"
            return [substitute(body, {variable: name}) for name in CONSTANTS]
        case "eg" | "ug":
            kind = Exists if rule == "eg" else ForAll
            free = next((name for name in ("x", "y", "z") if name not in _variables(cited[0])), "w")
            names = sorted(constants_of(cited[0]))
            return [kind(free, renamed(cited[0], {name: free})) for name in names]
        case "eq_i":
            return [Equals(name, name) for name in CONSTANTS]
        case "eq_e" if isinstance(cited[0], Equals):
            one, other = cited[0].left, cited[0].right
            return [renamed(cited[1], {one: other}), renamed(cited[1], {other: one})]
    return [anything]


def _variables(formula: Formula) -> set[str]:
    return {part.variable for part, _ in parts(formula) if isinstance(part, ForAll | Exists)}


POOL = tuple(
    parse(text)
    for text in """A; B; -A; -B; --A; P(a); Q(a); P(b); -P(a); -Q(a); A & B; A | B; -(A & B); -(A | B)
    -A | -B; -A & -B; -A | B; A -> B; B -> A; A <-> B; A xor B; B xor A; all x P(x); exists x P(x)
    all x -P(x); -all x P(x); -exists x P(x); exists x -P(x); a = b; b = a; a != b; R(a, a); R(a, b); R(b, b)
    exists x R(x, x); exists x R(a, x); all x R(x, x); P(c1); Q(c1); -P(c1); R(c1, c1); R(a, c1); P(c2)
    all x exists y R(x, y); exists y R(c1, y); exists y all x R(x, y); all x R(x, c1); P(c1) -> Q(c1)
    all x (P(x) -> Q(x)); A & B & P(a); R(c1, c2); all x R(x, c2); a = a; c1 = c2; P(a) <-> Q(a); B -> P(a)
    all x (Q(x) -> P(x)); A -> P(a); P(a) | P(b); exists x Q(x); all x Q(x); A | (A & B); -(A xor B)
    b = b; c1 = c1; c2 = c2; P(a) -> Q(a); Q(a) -> P(a); A & B -> P(a)""".replace("\n   ", ";").split(";")
)
"""Statements that the rules are about, and their near misses."""
