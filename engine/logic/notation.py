"""How formulas are written: what every notation offers, and the one error it raises."""

from typing import Protocol

from engine.logic.formulas import Formula


class NotationError(ValueError):
    """A text that is not a statement of the notation; the message says where it fails."""


class Notation(Protocol):
    """Made from the premises of one problem, whose symbols are then the only ones allowed."""

    premises: tuple[Formula, ...]

    def parse(self, text: str) -> Formula:
        """A text counts only if `show` of its formula gives it back, case and blanks apart.

        Raises NotationError.
        """

    def show(self, formula: Formula) -> str: ...
