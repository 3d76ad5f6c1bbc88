"""Formulas, the notations that write them, proofs and their rules.

A notation is one file and one line in `NOTATIONS`.
"""

from engine.logic.english import English
from engine.logic.fol import Fol

NOTATIONS: dict[str, type[English] | type[Fol]] = {
    "english": English,
    "fol": Fol,
}
