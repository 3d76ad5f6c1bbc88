"""How formulas are written: what every notation offers, and the one error it raises."""

from typing import Protocol

from engine.logic.formulas import Formula


class NotationError(ValueError):
    """A text that is not a statement of the notation; the message says where it fails."""


class Notation(Protocol):
    """A notation for one problem: it is built from the premises, whose symbols are the only ones allowed."""

    premises: tuple[Formula, ...]

    def parse(self, text: str) -> Formula:
        """The formula of a statement. Raises NotationError for a text that is none."""

    def read_claim(self, text: str) -> tuple[Formula, str]:
        """The formula of a statement, and how that is written as a claim. Raises NotationError.

        A claim counts only if it is written so, apart from case and blanks.
        """

    def show(self, formula: Formula) -> str:
        """The one text of a formula. Raises NotationError where the notation cannot express it."""
