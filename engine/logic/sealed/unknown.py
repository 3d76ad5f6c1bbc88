"""An answer Unknown, confirmed by worlds: in one the premises and the claim hold, in one its denial does."""

from collections.abc import Sequence

from engine.logic.entailment import Entailment
from engine.logic.formulas import Formula, Not
from engine.logic.models import find_model


def is_left_open(premises: Sequence[Formula], claims: Sequence[Formula]) -> bool | None:
    """Whether the premises can hold while one of the claims does not, for each of them.

    The claims are a statement and its denial. A world of a few things says so, or Z3 that there is another
    one; None where it gives up. Raises MemoryError.
    """
    found = [can_hold([*premises, Not(claim)]) for claim in claims]
    return False if False in found else None if None in found else True


def can_hold(formulas: Sequence[Formula]) -> bool | None:
    """Whether there is a world in which all formulas hold; None where Z3 gives up. Raises MemoryError."""
    return True if find_model(formulas) is not None else Entailment().consistent(formulas)
