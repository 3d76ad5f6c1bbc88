"""What can be wrong with a proof: the faults that both checkers name, each with its meaning."""

from enum import StrEnum
from typing import TypeAlias

from engine.records import Fault


class ProofFault(StrEnum):
    """Failures that only a proof can have; `records.Fault` has those of any reply."""

    meaning: str
    """One sentence for people."""

    def __new__(cls, name: str, meaning: str) -> "ProofFault":
        fault = str.__new__(cls, name)
        fault._value_ = name
        fault.meaning = meaning
        return fault

    UNREADABLE = (
        "unreadable",
        "A premise or the question cannot be read, or the premises are too many: no proof was judged.",
    )
    UNKNOWN_SYMBOL = (
        "unknown_symbol",
        "A claim uses a name that the problem does not have, or is not written as its formula is.",
    )
    MISFORMALIZED = (
        "misformalized",
        "A formula does not say what its sentence does, or names are not used in one sense.",
    )
    BAD_LINE_NUMBER = "bad_line_number", "A line does not have the next number."
    BAD_CITATION = (
        "bad_citation",
        "A citation is missing, forward, doubled, superfluous, or into a closed sub-proof.",
    )
    WRONG_RULE = "wrong_rule", "The named rule does not apply to the cited lines."
    WRONG_CLAIM = "wrong_claim", "The cited lines do not give this claim."
    WRONG_POLARITY = "wrong_polarity", "The rule gives the claim with its negation dropped or added."
    NOT_ARBITRARY = (
        "not_arbitrary",
        "The constant of a generalization or of an instance is one of which something is known.",
    )
    NO_PROGRESS = "no_progress", "The claim was already there."
    OPEN_ASSUMPTION = "open_assumption", "The last line rests on an assumption that is not discharged."
    UNSETTLED = (
        "unsettled",
        "Every line is valid, but the last claim does not settle the question as answered.",
    )


AnyFault: TypeAlias = Fault | ProofFault
CONTRADICTORY = "contradictory"
"""A fault of a problem, and of no proof: anything follows from premises that contradict each other."""
