"""Gold proofs of published questions, and questions that are made where a story's own have no formulas."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from engine.logic.first_order.notation import show
from engine.logic.formulas import (
    And,
    Atom,
    ForAll,
    Formula,
    Implies,
    Or,
    Xor,
    constants_of,
    negate,
    predicates_of,
)
from engine.logic.proofs import write_completion
from engine.tasks.drafts import Item, completion_of
from engine.tasks.prover import Prover

_EACH = 2
"""Questions of a story with each answer."""
_MOST_TRIED = 18
_COMPOUND, _GENERAL = 0.5, 0.2
"""Shares of questions that join two facts, and that are about all things."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A question in the notation `first_order`, and its answer."""

    question: str
    answer: str
    gold: str
    """A completion that proves the answer; empty where none was found."""


def questions_about(premises: Sequence[Formula], *, seed: str) -> tuple[Made, ...]:
    """Up to two questions with each of the answers True, False and Unknown; always the same for one seed."""
    from engine.logic import solver  # with Z3
    from engine.logic.labels import Unlabelled

    rng = Random(seed)
    given = {*premises, *map(negate, premises)}
    found: dict[str, Made] = {}
    counts: Counter[str] = Counter()
    for _ in range(_MOST_TRIED):
        asked = _statement(premises, rng)
        if asked is None or show(asked) in found or asked in given:
            continue
        try:
            answer = solver.answer(premises, asked)
        except Unlabelled:
            continue
        if counts[answer] < _EACH:
            counts[answer] += 1
            gold = gold_of(premises, asked, answer)
            found[show(asked)] = Made(question=show(asked), answer=answer, gold=gold)
        if sum(counts.values()) == 3 * _EACH:
            break
    return tuple(found.values())


def gold_of(premises: Sequence[Formula], asked: Formula, answer: str) -> str:
    """A completion whose every line the rules accept; empty where the prover finds none."""
    if answer == "Unknown":
        return write_completion([], answer)
    goal = asked if answer == "True" else negate(asked)
    lines = Prover([Item(premise) for premise in premises]).prove(goal)
    if lines is None:
        return ""
    return completion_of(premises, asked, lines, answer)


def _statement(premises: Sequence[Formula], rng: Random) -> Formula | None:
    """A statement in the premises' words; None where they have no words for one."""
    constants = sorted({name for premise in premises for name in constants_of(premise)})
    predicates = sorted({each for premise in premises for each in predicates_of(premise) if each[1] > 0})
    kinds = [name for name, arity in predicates if arity == 1]
    if len(kinds) > 1 and (not constants or rng.random() < _GENERAL):
        one, other = (Atom(name, ("x",)) for name in rng.sample(kinds, 2))
        if "x" in constants:
            return None
        return ForAll("x", Implies(one, rng.choice((other, negate(other)))))
    if not constants or not predicates:
        return None

    def literal() -> Formula:
        name, arity = rng.choice(predicates)
        atom = Atom(name, tuple(rng.choice(constants) for _ in range(arity)))
        return rng.choice((atom, negate(atom)))

    left, right = literal(), literal()
    if rng.random() < _COMPOUND and left not in (right, negate(right)):
        return rng.choice((And, Or, Implies, Xor))(left, right)
    return left
