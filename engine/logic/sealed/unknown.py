"""An answer Unknown, confirmed by worlds: in one the premises and the claim hold, in one its denial does."""

from collections.abc import Sequence
from typing import NamedTuple

from engine.logic.entailment import Entailment
from engine.logic.formulas import Formula, Not
from engine.logic.models import describe, find_model


class Openness(NamedTuple):
    """Whether premises leave a question open."""

    is_open: bool | None
    """None where that is not found."""
    worlds: tuple[str, ...] = ()
    """Where it is open a world in which the question holds and one in which it does not, as texts; none where
    Z3 says that there are such worlds, but no small ones are found."""


def is_left_open(premises: Sequence[Formula], asked: Formula, denial: Formula) -> Openness:
    """Whether the premises can hold while a statement does not, and while its denial does not.

    A world of a few things says so, or Z3 that there is another one. Raises MemoryError.
    """
    found, worlds = [], []
    for fails in (denial, asked):
        formulas = [*premises, Not(fails)]
        world = find_model(formulas)
        found.append(True if world is not None else Entailment().consistent(formulas))
        worlds += [describe(world)] if world is not None else []
    if False in found or None in found:
        return Openness(False if False in found else None)
    return Openness(True, tuple(worlds) if len(worlds) == len(found) else ())


def can_hold(formulas: Sequence[Formula]) -> bool | None:
    """Whether there is a world in which all formulas hold; None where Z3 gives up. Raises MemoryError."""
    return True if find_model(formulas) is not None else Entailment().consistent(formulas)
