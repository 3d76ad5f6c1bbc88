"""First-order formulas without functions: the one type that every checker shares.

Formulas are immutable and hashable, so that they serve as dictionary keys. Parsers limit their depth, which
bounds the recursion here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Atom:
    predicate: str
    args: tuple[str, ...] = ()
    """Constants, or variables bound by an enclosing `ForAll`; a proposition has none."""


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
class Implies:
    left: "Formula"
    right: "Formula"


@dataclass(frozen=True, slots=True)
class ForAll:
    variable: str
    body: "Formula"


Formula: TypeAlias = Atom | Not | And | Or | Implies | ForAll


def negate(formula: Formula) -> Formula:
    """The opposite of a formula, without stacking a second negation on a first."""
    return formula.body if isinstance(formula, Not) else Not(formula)


def substitute(formula: Formula, binding: Mapping[str, str]) -> Formula:
    """Replace free variables by constants. Constants never capture, so no renaming is needed."""
    match formula:
        case Atom(predicate, args):
            return Atom(predicate, tuple(binding.get(arg, arg) for arg in args))
        case Not(body):
            return Not(substitute(body, binding))
        case ForAll(variable, body):
            return ForAll(variable, substitute(body, {k: v for k, v in binding.items() if k != variable}))
        case And(left, right) | Or(left, right) | Implies(left, right):
            return type(formula)(substitute(left, binding), substitute(right, binding))
