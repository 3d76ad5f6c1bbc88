"""Small worlds in which statements hold: why a claim does not follow, in a form that people can check.

A world is sought with one thing, then with two, and so on. Z3 fills in what is true there, and `holds`
confirms it by looking, so that no world is given that is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import z3

from engine.logic.entailment import check, limited_memory
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
    predicates_of,
)

MAX_THINGS = 4
MAX_FACTS = 30
"""Facts of a world that are told when it is described."""
MAX_TERMS = 100_000
"""Terms of a search, as quantified statements are written out for each thing; a larger search is given up."""
MAX_WORK = 2_000_000
"""Steps by Z3's own count for each number of things."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A world of finitely many things, numbered from 0."""

    num_things: int
    constants: Mapping[str, int]
    """The thing that each constant names."""
    predicates: Mapping[tuple[str, int], frozenset[tuple[int, ...]]]
    """By name and number of arguments, the things of which a predicate is true, in order."""


def find_model(formulas: Sequence[Formula], *, max_things: int = MAX_THINGS) -> Model | None:
    """A world with as few things as there can be in which all formulas hold.

    None where no world of up to `max_things` is one, nor one in which each name has a thing of its own, or
    where the search is too large. Raises MemoryError.
    """
    names = frozenset[str]().union(*map(constants_of, formulas))
    for num_things in (*range(1, max_things + 1), *range(max(len(names), max_things + 1), len(names) + 1)):
        if sum(num_terms(formula, num_things) for formula in formulas) > MAX_TERMS:
            return None
        with limited_memory():
            model = _Search(formulas, num_things).find()
        if model is not None:
            assert all(holds(formula, model) for formula in formulas), "Z3's world is none"
            return model
    return None


def counter_model(
    premises: Sequence[Formula], claim: Formula, *, max_things: int = MAX_THINGS
) -> Model | None:
    """A world in which the premises hold and the claim does not, as `find_model` gives it."""
    return find_model([*premises, negate(claim)], max_things=max_things)


def holds(formula: Formula, model: Model, bound: Mapping[str, int] | None = None) -> bool:
    """Whether a formula is true in a world; `bound` gives the things that its free variables stand for."""
    things = bound or {}

    def thing(term: str) -> int:
        return things[term] if term in things else model.constants[term]

    match formula:
        case Atom(name, args):
            return tuple(map(thing, args)) in model.predicates[name, len(args)]
        case Equals(left, right):
            return thing(left) == thing(right)
        case Not(body):
            return not holds(body, model, things)
        case And(one, other):
            return holds(one, model, things) and holds(other, model, things)
        case Or(one, other):
            return holds(one, model, things) or holds(other, model, things)
        case Xor(one, other):
            return holds(one, model, things) != holds(other, model, things)
        case Implies(one, other):
            return not holds(one, model, things) or holds(other, model, things)
        case Iff(one, other):
            return holds(one, model, things) == holds(other, model, things)
        case ForAll(variable, body):
            return all(holds(body, model, {**things, variable: each}) for each in range(model.num_things))
        case Exists(variable, body):
            return any(holds(body, model, {**things, variable: each}) for each in range(model.num_things))


def describe(model: Model) -> str:
    """A world in two lines: its things, and what is true of them, of many facts the first.

    A thing goes by the first of its names, and by its number where it has none.
    """
    names: list[list[str]] = [[] for _ in range(model.num_things)]
    for name, thing in sorted(model.constants.items()):
        names[thing].append(name)
    called = [known[0] if known else f"thing {number}" for number, known in enumerate(names, start=1)]
    things = [
        f"{name} (also {', '.join(known[1:])})" if len(known) > 1 else name
        for name, known in zip(called, names, strict=True)
    ]
    facts = [
        f"{name}({', '.join(called[thing] for thing in row)})" if row else name
        for (name, _), rows in sorted(model.predicates.items())
        for row in sorted(rows)
    ]
    counted = "1 thing" if model.num_things == 1 else f"{model.num_things} things"
    more = len(facts) - MAX_FACTS
    told = ", ".join(facts[:MAX_FACTS]) + (f" and {more} more" if more > 0 else "")
    rest = f"True: {told}; nothing else." if facts else "Nothing is true of any of them."
    return f"{counted}: {'; '.join(things)}\n{rest}"


def num_terms(formula: Formula, num_things: int) -> int:
    """The size of a formula when what it says of all and of some things is written out for so many."""
    match formula:
        case Not(body):
            return 1 + num_terms(body, num_things)
        case ForAll(_, body) | Exists(_, body):
            return 1 + num_things * num_terms(body, num_things)
        case Atom() | Equals():
            return 1
    return 1 + num_terms(formula.left, num_things) + num_terms(formula.right, num_things)


class _Search:
    """One search among the worlds of so many things."""

    def __init__(self, formulas: Sequence[Formula], num_things: int) -> None:
        self._context = z3.Context()
        labels = [f"thing{number}" for number in range(num_things)]
        self._sort, self._things = z3.EnumSort("Things", labels, self._context)
        self._solver = z3.SimpleSolver(ctx=self._context)
        self._solver.set("rlimit", MAX_WORK)
        self._solver.set("phase_selection", 0)  # false where nothing asks for more: worlds stay small
        self._constants = sorted(frozenset[str]().union(*map(constants_of, formulas)))
        self._predicates = sorted(frozenset[tuple[str, int]]().union(*map(predicates_of, formulas)))
        self._atoms: dict[tuple[str, tuple[str | int, ...]], z3.BoolRef] = {}
        """What is said of things, by the predicate and its arguments: constants, or things by number."""
        for formula in formulas:
            self._solver.add(self._term(formula, {}))

    def find(self) -> Model | None:
        if check(self._solver) != z3.sat:
            return None
        found = self._solver.model()
        number = {str(thing): place for place, thing in enumerate(self._things)}
        constants = {
            name: number[str(found.eval(self._constant(name), model_completion=True))]
            for name in self._constants
        }
        true: dict[tuple[str, int], set[tuple[int, ...]]] = {symbol: set() for symbol in self._predicates}
        # Only what the formulas speak of: a predicate of many places has rows without end, and of the others
        # nothing is said.
        for (name, args), atom in self._atoms.items():
            if z3.is_true(found.eval(atom, model_completion=True)):
                row = tuple(constants[arg] if isinstance(arg, str) else arg for arg in args)
                true[name, len(args)].add(row)
        predicates = {symbol: frozenset(rows) for symbol, rows in true.items()}
        return Model(num_things=len(self._things), constants=constants, predicates=predicates)

    def _constant(self, name: str) -> z3.ExprRef:
        return z3.Const(f"{name}!", self._sort)  # a constant may be called as a thing is

    def _term(self, formula: Formula, bound: Mapping[str, int]) -> z3.BoolRef:
        def thing(term: str) -> z3.ExprRef:
            return self._things[bound[term]] if term in bound else self._constant(term)

        match formula:
            case Atom(name, args):
                sorts = [*[self._sort] * len(args), z3.BoolSort(self._context)]
                atom = z3.Function(f"{name}/{len(args)}", *sorts)(*map(thing, args))
                self._atoms[name, tuple(bound.get(arg, arg) for arg in args)] = atom
                return atom
            case Equals(left, right):
                return thing(left) == thing(right)
            case Not(body):
                return z3.Not(self._term(body, bound))
            case ForAll(variable, body) | Exists(variable, body):
                join = z3.And if isinstance(formula, ForAll) else z3.Or
                each_thing = range(len(self._things))
                return join([self._term(body, {**bound, variable: each}) for each in each_thing])
        left, right = self._term(formula.left, bound), self._term(formula.right, bound)
        match formula:
            case And():
                return z3.And(left, right)
            case Or():
                return z3.Or(left, right)
            case Xor():
                return z3.Xor(left, right)
            case Implies():
                return z3.Implies(left, right)
            case Iff():
                return left == right
