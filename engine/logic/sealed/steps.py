"""Lines that are one step: what they cite entails them by connectives alone, once variables have constants.

Whatever one rule of inference gives is such a step. Asked about quantifiers, Z3 may give up on it, so a line
is asked about as a step first: what it cites, some instances of that, and the claim, with a symbol for every
part that the question need not look into. An instance of a line is as true as the line, and what holds
whatever the symbols mean also holds of these parts. So a poor choice of instances or of parts cannot make an
unsound line pass; it only leaves the line to `engine.logic.entailment`.

The symbols are numbered as they come, and most lines of most proofs put one of a few questions. An answer
depends on nothing but its question, because Z3 gets a context for each, so answers are kept.
"""

import operator
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias

import z3

from engine.logic.entailment import check, limited_memory
from engine.logic.formulas import And, Atom, Equals, Exists, ForAll, Formula, Iff, Implies, Not, Or, Xor
from engine.logic.sealed.instances import instances, sufficient

MAX_WORK = 1_000_000
"""Steps by Z3's own count over the questions about one proof; a line takes some hundred."""
_KEPT = 1_024
"""Answers that are kept."""
_KEPT_SIZE = 128
"""Symbols and connectives of the largest question whose answer is kept."""

Shape: TypeAlias = "int | tuple[str, Shape] | tuple[str, Shape, Shape]"
"""A symbol, or a connective with what it joins."""
Question: TypeAlias = tuple[tuple[Shape, ...], tuple[Shape, ...]]
"""What is given, and claims of which each is enough for what the line says."""
_NOT, _IMPLIES = "-", ">"
_SIGNS: dict[type[Formula], str] = {And: "&", Or: "|", Xor: "^", Implies: _IMPLIES, Iff: "="}
_JOINS = {"&": z3.And, "|": z3.Or, "^": z3.Xor, _IMPLIES: z3.Implies, "=": operator.eq}


class Steps:
    """Says of the lines of one proof whether they are one step from what they cite."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._joins: list[tuple[str, tuple[int, ...]]] = []
        """For each number of a formula its connective and the numbers that this joins; empty for a leaf."""
        self._known: dict[int, tuple[Formula, int]] = {}
        """Numbers by the identity of the formula, which is held so that its identity stays unique."""
        self._work_left = MAX_WORK

    def follows(
        self, cited: Sequence[Formula], claim: Formula, arbitrary: Sequence[frozenset[str]] = ()
    ) -> bool:
        """Whether `claim` is a step from `cited`, in the order of the citations. False leaves it open.

        `arbitrary` are for each cited line the constants for which it holds whatever they name.
        """
        if self._work_left <= 0:
            return False
        names = arbitrary or [frozenset[str]()] * len(cited)
        given = [self._number(formula) for formula in (*cited, *instances(cited, claim, names))]
        claims = [self._number(formula) for formula in (claim, *sufficient(cited, claim))]
        question, size = self._ask(list(dict.fromkeys(given)), list(dict.fromkeys(claims)))
        holds, work = _kept_answer(question) if size <= _KEPT_SIZE else _answer(question)
        self._work_left -= work
        return holds

    def _number(self, formula: Formula) -> int:
        """Equal formulas have equal numbers."""
        if id(formula) not in self._known:
            self._known[id(formula)] = formula, self._enter(formula)
        return self._known[id(formula)][1]

    def _enter(self, formula: Formula) -> int:
        sign, parts = "", tuple[int, ...]()
        match formula:
            case Not(body):
                sign, parts = _NOT, (self._enter(body),)
            case And() | Or() | Xor() | Implies() | Iff():
                sign, parts = _SIGNS[type(formula)], (self._enter(formula.left), self._enter(formula.right))
            case Exists(variable, body):
                sign, parts = _NOT, (self._enter(ForAll(variable, Not(body))),)
            case ForAll(variable, body):
                formula = ForAll(variable, _plain(body))
        number = self._numbers.setdefault((sign, parts) if sign else formula, len(self._joins))
        if number == len(self._joins):
            self._joins.append((sign, parts))
        return number

    def _ask(self, given: Sequence[int], claims: Sequence[int]) -> tuple[Question, int]:
        """The question and its size."""
        units = {unit for root in (*given, *claims) for unit in self._units(root)}
        holds_unit: dict[int, bool] = {}
        symbols: dict[int, int] = {}
        size = 0

        def looks_into(number: int) -> bool:
            """Whether a unit lies inside, past any negations."""
            if number not in holds_unit:
                parts = [self._bare(part) for part in self._joins[number][1]]
                holds_unit[number] = any(part in units or looks_into(part) for part in parts)
            return holds_unit[number]

        def shape(number: int) -> Shape:
            nonlocal size
            size += 1
            match self._joins[number]:
                case (sign, (only,)):
                    return sign, shape(only)
                case (sign, (left, right)) if looks_into(number):
                    return sign, shape(left), shape(right)
            return symbols.setdefault(number, len(symbols))

        question = tuple(shape(root) for root in given), tuple(shape(root) for root in claims)
        return question, size

    def _units(self, root: int) -> Iterator[int]:
        """A statement, and what it joins: what of these another statement holds as well is looked into."""
        root = self._bare(root)
        yield root
        sign, parts = self._joins[root]
        for part in parts:
            yield self._bare(part)
        if sign == _IMPLIES and self._joins[parts[1]][0] == _IMPLIES:
            yield from self._units(parts[1])

    def _bare(self, number: int) -> int:
        """A formula without the negations before it."""
        while self._joins[number][0] == _NOT:
            number = self._joins[number][1][0]
        return number


def _answer(question: Question) -> tuple[bool, int]:
    """Whether the claims follow, and the steps that this took; False where Z3 gives up."""
    given, claims = question
    context = z3.Context()
    with limited_memory():
        solver = z3.SimpleSolver(ctx=context)
        solver.set("rlimit", MAX_WORK)
        for shape in given:
            solver.add(_term(shape, context))
        for shape in claims:
            solver.add(z3.Not(_term(shape, context)))
        found = check(solver)
        return found == z3.unsat, solver.statistics().get_key_value("rlimit count")


_kept_answer = lru_cache(maxsize=_KEPT)(_answer)


def _term(shape: Shape, context: z3.Context) -> z3.BoolRef:
    match shape:
        case int(symbol):
            return z3.Bool(f"p{symbol}", context)
        case (_, only):
            return z3.Not(_term(only, context))
        case (sign, left, right):
            return _JOINS[sign](_term(left, context), _term(right, context))
    raise AssertionError(shape)


def _plain(formula: Formula) -> Formula:
    """The same said without some thing and without a denial denied: what two wordings share."""
    match formula:
        case Atom() | Equals():
            return formula
        case Not(Not(body)):
            return _plain(body)
        case Not(body):
            inner = _plain(body)
            return inner.body if isinstance(inner, Not) else Not(inner)
        case ForAll(variable, body):
            return ForAll(variable, _plain(body))
        case Exists(variable, body):
            return Not(ForAll(variable, _plain(Not(body))))
    return type(formula)(_plain(formula.left), _plain(formula.right))
