"""Formulas, the notations that write them, proofs and their rules.

A notation is one file and one line in `NOTATIONS`.
"""

from collections.abc import Callable, Sequence

from engine.logic.english import English
from engine.logic.first_order.notation import FirstOrder
from engine.logic.fol import Fol
from engine.logic.notation import Notation
from engine.logic.proofwriter import ProofWriter

NOTATIONS: dict[str, Callable[[Sequence[str]], Notation]] = {
    "english": English,
    "fol": Fol,
    "first_order": FirstOrder,
    "proofwriter": ProofWriter,
}
"""Each makes the notation of one problem of its premises, and raises `NotationError`."""
FORMALIZED = "formalized"
"""The notation of a problem whose sentences the reply formalizes (`engine.logic.formalized`)."""
