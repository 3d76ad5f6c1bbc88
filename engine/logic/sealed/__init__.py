"""A second reading of proofs, for the sealed checker. It shares only the formula type with the first.

It should accept exactly what `engine.logic.proofs`, `english` and `fol` accept, by other means (words and a
precedence table instead of patterns and descent), so that a slip in one reading shows as a disagreement.
"""


class Unreadable(ValueError):
    """A text does not match the format; the message says why."""
