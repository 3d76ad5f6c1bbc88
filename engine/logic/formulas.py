"""First-order formulas with equality and without functions: the one type that every checker shares.

Formulas are immutable and hashable, so that they serve as dictionary keys. Parsers limit their depth, which
bounds the recursion here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Atom:
    predicate: str
    args: tuple[str, ...] = ()
    """Constants, or variables bound by an enclosing quantifier; a proposition has none."""


@dataclass(frozen=True, slots=True)
class Equals:
    left: str
    right: str
    """Both are terms, as the arguments of an `Atom` are."""


@dataclass(frozen=True, slots=True)
class Not:
    body: "Formula"


@dataclass(frozen=True, slots=True)
class And:
    left: "Formula"
    right: "Formula"


@dataclass(frozen=True, slots=True)
class Or:
    left: "Formula"
    right: "Formula"


@dataclass(frozen=True, slots=True)
class Xor:
    left: "Formula"
    right: "Formula"


@dataclass(frozen=True, slots=True)
class Implies:
    left: "Formula"
    right: "Formula"


@dataclass(frozen=True, slots=True)
class Iff:
    left: "Formula"
    right: "Formula"


@dataclass(frozen=True, slots=True)
class ForAll:
    variable: str
    body: "Formula"


@dataclass(frozen=True, slots=True)
class Exists:
    variable: str
    body: "Formula"


Join: TypeAlias = And | Or | Xor | Implies | Iff
"""Formulas of two parts."""
Formula: TypeAlias = Atom | Equals | Not | Join | ForAll | Exists


def negate(formula: Formula) -> Formula:
    """The opposite of a formula, without stacking a second negation on a first."""
    return formula.body if isinstance(formula, Not) else Not(formula)


def conjuncts(formula: Formula) -> list[Formula]:
    """What a formula joins by `And`, however deep; a formula that is none is its own only one."""
    if isinstance(formula, And):
        return conjuncts(formula.left) + conjuncts(formula.right)
    return [formula]


def substitute(formula: Formula, binding: Mapping[str, str]) -> Formula:
    """Replace free variables by constants. Constants never capture, so no renaming is needed."""
    match formula:
        case Atom(predicate, args):
            return Atom(predicate, tuple(binding.get(arg, arg) for arg in args))
        case Equals(one, other):
            return Equals(binding.get(one, one), binding.get(other, other))
        case Not(body):
            return Not(substitute(body, binding))
        case ForAll(variable, body) | Exists(variable, body):
            inner = {name: value for name, value in binding.items() if name != variable}
            return type(formula)(variable, substitute(body, inner))
        case And(left, right) | Or(left, right) | Xor(left, right) | Implies(left, right) | Iff(left, right):
            return type(formula)(substitute(left, binding), substitute(right, binding))


def parts(formula: Formula) -> Iterator[tuple[Formula, frozenset[str]]]:
    """A formula and all formulas inside it, each with the variables that are bound around it."""
    waiting: list[tuple[Formula, frozenset[str]]] = [(formula, frozenset())]
    while waiting:
        part, bound = waiting.pop()
        yield part, bound
        match part:
            case Not(body):
                waiting.append((body, bound))
            case ForAll(variable, body) | Exists(variable, body):
                waiting.append((body, bound | {variable}))
            case (
                And(left, right)
                | Or(left, right)
                | Xor(left, right)
                | Implies(left, right)
                | Iff(left, right)
            ):
                waiting += [(right, bound), (left, bound)]


def constants_of(formula: Formula) -> frozenset[str]:
    """The terms that no quantifier binds."""
    found: set[str] = set()
    for part, bound in parts(formula):
        if isinstance(part, Atom):
            found.update(arg for arg in part.args if arg not in bound)
        elif isinstance(part, Equals):
            found.update(term for term in (part.left, part.right) if term not in bound)
    return frozenset(found)


def predicates_of(formula: Formula) -> frozenset[tuple[str, int]]:
    """The predicates, each with its number of arguments."""
    return frozenset((part.predicate, len(part.args)) for part, _ in parts(formula) if isinstance(part, Atom))
