"""Lines that are one step: what they cite entails them by connectives alone, once variables have constants.

Whatever one rule of inference gives is such a step. Asked about quantifiers, Z3 may give up on it, so a line
is asked about as a step first: what it cites, some instances of that, and the claim, with a symbol for every
part that the question need not look into. An instance of a line is as true as the line, and what holds
whatever the symbols mean also holds of these parts. So a poor choice of instances or of parts cannot make an
unsound line pass; it only leaves the line to `engine.logic.entailment`.

The symbols are numbered as they come, and most lines of most proofs put one of a few questions. An answer
depends on nothing but its question, because Z3 gets a context for each, so answers are kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

import z3

from engine.logic.entailment import check, limited_memory
from engine.logic.formulas import And, Atom, ForAll, Formula, Implies, Not, Or

MAX_WORK = 1_000_000
"""Steps by Z3's own count over the questions about one proof; a line takes some hundred."""
_KEPT = 1_024
"""Answers that are kept."""
_KEPT_SIZE = 128
"""Symbols and connectives of the largest question whose answer is kept."""

Shape: TypeAlias = "int | tuple[str, Shape] | tuple[str, Shape, Shape]"
"""A symbol, or a connective with what it joins."""
Question: TypeAlias = tuple[tuple[Shape, ...], tuple[Shape, ...]]
"""What is given, and claims of which each says what the line says."""
_NOT, _AND, _OR, _IMPLIES = "-", "&", "|", ">"


class Steps:
    """Says of the lines of one proof whether they are one step from what they cite."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._joins: list[tuple[str, tuple[int, ...]]] = []
        """For each number of a formula its connective and the numbers that this joins; empty for a leaf."""
        self._known: dict[int, tuple[Formula, int]] = {}
        """Numbers by the identity of the formula, which is held so that its identity stays unique."""
        self._work_left = MAX_WORK

    def follows(self, cited: Sequence[Formula], claim: Formula) -> bool:
        """Whether `claim` is a step from `cited`, in the order of the citations. False leaves it open."""
        if self._work_left <= 0:
            return False
        given = [self._number(formula) for formula in (*cited, *_instances(cited, claim))]
        claims = [self._number(claim)]
        if isinstance(claim, ForAll):
            variables, matrix = _strip(claim)
            claims.append(self._number(_with(matrix, _anything(variables))))
        question, size = self._ask(list(dict.fromkeys(given)), claims)
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
            case And(left, right):
                sign, parts = _AND, (self._enter(left), self._enter(right))
            case Or(left, right):
                sign, parts = _OR, (self._enter(left), self._enter(right))
            case Implies(left, right):
                sign, parts = _IMPLIES, (self._enter(left), self._enter(right))
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
            join = {_AND: z3.And, _OR: z3.Or, _IMPLIES: z3.Implies}[sign]
            return join(_term(left, context), _term(right, context))
    raise AssertionError(shape)


def _instances(cited: Sequence[Formula], claim: Formula) -> list[Formula]:
    """Instances of the cited lines that begin with a quantifier, as what stands beside them asks for."""
    found: list[Formula] = []
    for place, given in enumerate(cited):
        if isinstance(given, ForAll):
            found += _instances_of(given, [*cited[:place], *cited[place + 1 :]], claim)
    return found


def _instances_of(given: ForAll, others: Sequence[Formula], claim: Formula) -> Iterator[Formula]:
    binding: dict[str, str] = {}
    if _fits(given.body, claim, {given.variable}, binding, frozenset()):
        yield _with(given.body, binding)
    variables, matrix = _strip(given)
    if isinstance(claim, ForAll) and len(_strip(claim)[0]) == len(variables):
        yield _with(matrix, _anything(variables))
    if isinstance(matrix, Implies):
        for pairs in _alignments(matrix, others, claim):
            binding = {}
            if all(_fits(part, whole, set(variables), binding, frozenset()) for part, whole in pairs):
                yield _with(matrix, binding)


def _alignments(
    rule: Implies, others: Sequence[Formula], claim: Formula
) -> Iterator[list[tuple[Formula, Formula]]]:
    """How the parts of a rule may stand for the other cited lines and the claim, in their order."""
    conditions = [rule.left] if len(others) == 1 else _conditions(rule.left)
    if len(conditions) == len(others):
        yield [*zip(conditions, others, strict=True), (rule.right, claim)]
    if len(others) == 1:
        for denied in _opposites(others[0]):
            for opposite in _opposites(claim):
                yield [(rule.right, denied), (rule.left, opposite)]


def _conditions(formula: Formula) -> list[Formula]:
    if isinstance(formula, And):
        return [*_conditions(formula.left), *_conditions(formula.right)]
    return [formula]


def _opposites(formula: Formula) -> list[Formula]:
    return [Not(formula), *([formula.body] if isinstance(formula, Not) else [])]


def _strip(formula: Formula) -> tuple[list[str], Formula]:
    """The variables of the quantifiers that a formula begins with, and the rest of it."""
    variables: list[str] = []
    while isinstance(formula, ForAll):
        variables.append(formula.variable)
        formula = formula.body
    return variables, formula


def _anything(variables: Sequence[str]) -> dict[str, str]:
    """A constant of which nothing is known for each variable, by place: no name has a question mark."""
    return {name: f"{place}?" for place, name in enumerate(variables)}


def _fits(
    part: Formula, whole: Formula, variables: set[str], binding: dict[str, str], bound: frozenset[str]
) -> bool:
    """Whether constants for `variables` turn `part` into `whole`; `binding` then says which.

    `bound` are the variables that quantifiers of `whole` bind there. They are no constants.
    """
    if isinstance(part, Atom) and isinstance(whole, Atom):
        if part.predicate != whole.predicate or len(part.args) != len(whole.args):
            return False
        for name, value in zip(part.args, whole.args, strict=True):
            if name not in variables:
                if name != value:
                    return False
            elif value in bound or binding.setdefault(name, value) != value:
                return False
        return True
    if isinstance(part, Not) and isinstance(whole, Not):
        return _fits(part.body, whole.body, variables, binding, bound)
    if isinstance(part, ForAll) and isinstance(whole, ForAll):
        if part.variable != whole.variable:
            return False
        inner = variables - {part.variable}
        return _fits(part.body, whole.body, inner, binding, bound | {part.variable})
    if isinstance(part, And | Or | Implies) and isinstance(whole, And | Or | Implies):
        return (
            type(part) is type(whole)
            and _fits(part.left, whole.left, variables, binding, bound)
            and _fits(part.right, whole.right, variables, binding, bound)
        )
    return False


def _with(formula: Formula, constants: Mapping[str, str]) -> Formula:
    """A formula with constants in the place of its free variables."""
    if isinstance(formula, Atom):
        return Atom(formula.predicate, tuple(constants.get(name, name) for name in formula.args))
    if isinstance(formula, Not):
        return Not(_with(formula.body, constants))
    if isinstance(formula, ForAll):
        inner = {name: value for name, value in constants.items() if name != formula.variable}
        return ForAll(formula.variable, _with(formula.body, inner))
    return type(formula)(_with(formula.left, constants), _with(formula.right, constants))
