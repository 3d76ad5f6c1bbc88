"""Names from elsewhere, such as `gpt-3`, `Mark` or `Świątek`, made plain for the notation `first_order`."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from engine.logic.first_order.notation import FRESH, SIGNS
from engine.logic.formulas import (
    Atom,
    Equals,
    Exists,
    ForAll,
    Formula,
    Not,
    constants_of,
    parts,
    predicates_of,
)

Symbol: TypeAlias = tuple[str, int]
"""A predicate with its number of arguments, or a constant with `CONSTANT`."""
CONSTANT = -1
_LONGEST = 36
"""Letters of a plain name; what tells it from another one comes after them."""
_VARIABLES = ("x", "y", "z", "u", "v", "w")


def plain_names(formulas: Sequence[Formula]) -> tuple[Formula, ...]:
    """The formulas of one problem with names that its notation can write, one-to-one over all of them.

    Predicates get a capital and constants a small letter, and other characters go. A name that is plain
    stays. A predicate with two numbers of arguments becomes two predicates, as it means two things.
    """
    symbols = sorted({symbol for formula in formulas for symbol in symbols_of(formula)})
    predicates = [symbol for symbol in symbols if symbol[1] != CONSTANT]
    constants = [symbol for symbol in symbols if symbol[1] == CONSTANT]
    variables = {
        part.variable for each in formulas for part, _ in parts(each) if isinstance(part, ForAll | Exists)
    }
    # A constant gives way to a variable: these are few, and the same in every problem.
    kept = variables & set(_VARIABLES)
    names = _distinct(predicates, _capital, avoided=set()) | _distinct(constants, _small, avoided=kept)
    taken = {*names.values(), *variables}
    free = (name for name in _names_of_variables() if name not in taken)
    bound = {name: name if name in kept else next(free) for name in sorted(variables)}
    return tuple(renamed(each, names, bound) for each in formulas)


def symbols_of(formula: Formula) -> frozenset[Symbol]:
    """The predicates and constants of a formula."""
    return predicates_of(formula) | {(name, CONSTANT) for name in constants_of(formula)}


def renamed(
    formula: Formula, names: Mapping[Symbol, str], variables: Mapping[str, str] | None = None
) -> Formula:
    """A formula with other names for its symbols and for the variables it binds; what is not there stays.

    No two variables may get one name, and none that of a constant.
    """
    new = variables or {}

    def rename(part: Formula, bound: frozenset[str]) -> Formula:
        def term(name: str) -> str:
            return new.get(name, name) if name in bound else names.get((name, CONSTANT), name)

        match part:
            case Atom(name, args):
                return Atom(names.get((name, len(args)), name), tuple(map(term, args)))
            case Equals(left, right):
                return Equals(term(left), term(right))
            case Not(body):
                return Not(rename(body, bound))
            case ForAll(variable, body) | Exists(variable, body):
                return type(part)(new.get(variable, variable), rename(body, bound | {variable}))
        return type(part)(rename(part.left, bound), rename(part.right, bound))

    return rename(formula, frozenset())


def _names_of_variables() -> Iterator[str]:
    yield from _VARIABLES
    yield from (f"{name}{number}" for number in range(1, 100) for name in _VARIABLES)


def _distinct(
    symbols: Sequence[Symbol], plain: Callable[[str], str], *, avoided: set[str]
) -> dict[Symbol, str]:
    """A plain name of its own for each symbol. Those that are plain already come first, and keep theirs."""
    found: dict[Symbol, str] = {}
    taken = set(avoided)
    for symbol in sorted(symbols, key=lambda symbol: (plain(symbol[0]) != symbol[0], symbol)):
        wanted = name = plain(symbol[0])
        number = 2
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        taken.add(name)
        found[symbol] = name
    return found


def _letters(name: str) -> str:
    """The ASCII letters, digits and low lines of a name, without accents; words are joined by low lines."""
    decomposed = unicodedata.normalize("NFKD", name)
    bare = "".join(each for each in decomposed if not unicodedata.combining(each))
    return re.sub("[^A-Za-z0-9_]+", "_", bare.replace("+", "plus")).strip("_")[:_LONGEST].rstrip("_")


def _capital(name: str) -> str:
    letters = _letters(name)
    return letters[:1].upper() + letters[1:] if letters[:1].isalpha() else f"P{letters}"


def _small(name: str) -> str:
    letters = _letters(name)
    small = letters[:1].lower() + letters[1:] if letters[:1].isalpha() else f"n{letters}"
    # Neither a word of the notation nor a name that is kept for arbitrary things.
    return f"{small}_" if small in SIGNS or FRESH.fullmatch(small) else small
