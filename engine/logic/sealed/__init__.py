"""A second reading of proofs, for the sealed checker: it shares the formula type with the first, no more.

What it accepts is meant to be exactly what `engine.logic.proofs`, `english` and `fol` accept, by other means
(words and a precedence table instead of patterns and descent), so that a slip in one reading shows as a
disagreement.
"""


class Unreadable(ValueError):
    """A text that is not of the format; the message says why."""
