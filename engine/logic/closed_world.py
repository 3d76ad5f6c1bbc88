"""A closed world: what rules and facts do not make true is false.

Rules with denials in their conditions mean their well-founded model (Van Gelder, Ross and Schlipf 1991), if
it leaves nothing open. Rules whose denials stand in no circle always have one.
"""

import itertools
from collections.abc import Iterable, Sequence

from engine.logic.formulas import (
    And,
    Atom,
    ForAll,
    Formula,
    Implies,
    Not,
    conjuncts,
    constants_of,
    predicates_of,
    substitute,
)

MAX_FACTS = 2_000
"""Most facts that the words of a problem can state; more take long."""

Ground = tuple[tuple[Formula, ...], Formula]
"""An instance of a rule: its conditions and what follows. A fact is one without conditions."""


class NoOneWorld(ValueError):
    """Facts and rules do not describe exactly one closed world; the message says why."""


def falsehoods(premises: Sequence[Formula]) -> Formula:
    """The denials of all facts that are false in the closed world of facts and rules, joined by ``And``.

    A fact is anything that the predicates of `premises` say of their constants. Raises NoOneWorld.
    """
    constants = sorted({name for premise in premises for name in constants_of(premise)})
    predicates = sorted({each for premise in premises for each in predicates_of(premise)})
    if sum(len(constants) ** arity for _, arity in predicates) > MAX_FACTS:
        raise NoOneWorld(f"a closed world has at most {MAX_FACTS:,} facts that are true or false")
    rules = [instance for premise in premises for instance in instances(premise, constants)]
    true = _true_facts(rules)
    for conditions, head in rules:
        if isinstance(head, Not) and head.body in true and all(_holds(each, true) for each in conditions):
            raise NoOneWorld("in the closed world the premises contradict each other")
    false = [
        Not(fact)
        for predicate, arity in predicates
        for args in itertools.product(constants, repeat=arity)
        if (fact := Atom(predicate, args)) not in true
    ]
    if not false:
        raise NoOneWorld("in the closed world nothing is false")
    return _joined(false)


def instances(premise: Formula, constants: Sequence[str]) -> list[Ground]:
    """A fact, or a rule with every constant for its variable."""
    if isinstance(premise, ForAll):
        bodies: Iterable[Formula] = (substitute(premise.body, {premise.variable: name}) for name in constants)
    else:
        bodies = [premise]
    return [
        (tuple(conjuncts(body.left)), body.right) if isinstance(body, Implies) else ((), body)
        for body in bodies
    ]


def _true_facts(rules: Sequence[Ground]) -> set[Formula]:
    """The facts of the well-founded model, as the alternating fixpoint. Raises NoOneWorld."""
    positive = [(conditions, head) for conditions, head in rules if not isinstance(head, Not)]
    surely: set[Formula] = set()
    while True:
        possibly = _closure(positive, surely)
        more = _closure(positive, possibly)
        if more == surely:
            break
        surely = more
    if surely != possibly:
        raise NoOneWorld("the rules depend on their own denials: no closed world is meant")
    return surely


def _closure(rules: Sequence[Ground], assumed: set[Formula]) -> set[Formula]:
    """What follows where a denial holds if `assumed` lacks the fact."""
    found: set[Formula] = set()
    while True:
        new = {
            head
            for conditions, head in rules
            if head not in found
            and all(
                each.body not in assumed if isinstance(each, Not) else each in found for each in conditions
            )
        }
        if not new:
            return found
        found |= new


def _holds(literal: Formula, true: set[Formula]) -> bool:
    return literal.body not in true if isinstance(literal, Not) else literal in true


def _joined(formulas: Sequence[Formula]) -> Formula:
    """As shallow as can be: every walk through a formula is as deep as it is."""
    if len(formulas) == 1:
        return formulas[0]
    half = len(formulas) // 2
    return And(_joined(formulas[:half]), _joined(formulas[half:]))
