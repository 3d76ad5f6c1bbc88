"""A closed world, found by what has no foundation: the second reading of `engine.logic.closed_world`.

Both find the well-founded model. This one builds what is true and what is false together, step by step.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TypeAlias

from engine.logic.formulas import And, Atom, Formula, Not
from engine.logic.sealed import Unreadable

_MOST_FACTS = 2_000

Fact: TypeAlias = tuple[str, ...]
"""A word, and the things that it is said of."""
Signed: TypeAlias = tuple[bool, Fact]
"""A fact with whether it is denied."""
Clause: TypeAlias = tuple[tuple[Signed, ...], Signed]
"""Conditions, none of a fact, and what follows from them."""


def all_false(clauses: Sequence[Clause], variable: str) -> Formula:
    """Every fact that the words can state and that is false in their closed world, denied.

    `variable` stands for any thing in a clause. Raises Unreadable where there is no one such world.
    """
    facts = [fact for conditions, head in clauses for _, fact in (*conditions, head)]
    things = sorted({name for _, *names in facts for name in names} - {variable})
    words = sorted({(word, len(names)) for word, *names in facts})
    if sum(len(things) ** arity for _, arity in words) > _MOST_FACTS:
        raise Unreadable("a closed world of so many facts is too large")
    base = [(word, *names) for word, arity in words for names in product(things, repeat=arity)]
    ground = [rule for clause in clauses for rule in _ground(clause, things, variable)]
    true = _world([(conditions, head) for conditions, (is_denied, head) in ground if not is_denied], base)
    for conditions, (is_denied, head) in ground:
        if is_denied and head in true and all((fact in true) != denied for denied, fact in conditions):
            raise Unreadable("the premises contradict each other in the closed world")
    denials: list[Formula] = [Not(Atom(fact[0], fact[1:])) for fact in base if fact not in true]
    if not denials:
        raise Unreadable("nothing is false in the closed world")
    return _conjunction(denials)


def _ground(clause: Clause, things: Sequence[str], variable: str) -> Iterator[Clause]:
    conditions, head = clause
    is_general = any(variable in fact for _, fact in (*conditions, head))
    for thing in things if is_general else [""]:
        yield tuple(_with(each, variable, thing) for each in conditions), _with(head, variable, thing)


def _with(signed: Signed, variable: str, thing: str) -> Signed:
    is_denied, (word, *names) = signed
    return is_denied, (word, *(thing if name == variable else name for name in names))


def _world(rules: Sequence[tuple[tuple[Signed, ...], Fact]], base: Sequence[Fact]) -> set[Fact]:
    """The true facts where every other one is false. Raises Unreadable where some are neither.

    A fact is true that a rule gives whose conditions hold. Facts are false together if each rule for one of
    them has a condition that fails or is one of them.
    """
    true: set[Fact] = set()
    false: set[Fact] = set()
    while True:
        new = {
            head
            for conditions, head in rules
            if all(fact in (false if denied else true) for denied, fact in conditions)
        }
        unfounded = set(base) - _founded(rules, true, false)
        if new <= true and unfounded <= false:
            break
        true |= new
        false |= unfounded
    if len(true) + len(false) < len(base):
        raise Unreadable("the rules leave facts open that depend on their own denials")
    return true


def _founded(
    rules: Sequence[tuple[tuple[Signed, ...], Fact]], true: set[Fact], false: set[Fact]
) -> set[Fact]:
    """What may still be true: some rule gives it, of conditions that do not fail and are founded as well."""
    founded: set[Fact] = set()
    while True:
        size = len(founded)
        for conditions, head in rules:
            if all(
                fact not in true if denied else fact in founded and fact not in false
                for denied, fact in conditions
            ):
                founded.add(head)
        if len(founded) == size:
            return founded


def _conjunction(formulas: list[Formula]) -> Formula:
    """Joined in halves, as the first reading does."""
    if len(formulas) == 1:
        return formulas[0]
    middle = len(formulas) // 2
    return And(_conjunction(formulas[:middle]), _conjunction(formulas[middle:]))
