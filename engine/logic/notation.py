"""How formulas are written: what every notation offers, and the one error it raises."""

from typing import ClassVar, Protocol

from engine.logic.formulas import Formula


class NotationError(ValueError):
    """A text that is not a statement of the notation; the message says where it fails."""

    def __init__(self, message: str, column: int = 0) -> None:
        super().__init__(f"column {column}: {message}" if column else message)
        self.reason = message
        """The message without the column."""
        self.column = column
        """Where in the text, counted from 1; 0 where it is no one place."""


class Notation(Protocol):
    """A notation for one problem: it is built from the premises, whose symbols are the only ones allowed."""

    premises: tuple[Formula, ...]
    unknown_takes_lines: ClassVar[bool]
    """Whether valid lines may stand before an answer Unknown, as what was found before the search ended."""
    assumes_known: ClassVar[bool]
    """Whether a line may assume what is known: A and B give A -> B only so."""

    def read_question(self, text: str) -> Formula:
        """The formula of what is asked, which a notation may let have names of its own. Raises NotationError.

        Claims may use those names as well, so it is read before them.
        """

    def parse(self, text: str) -> Formula:
        """The formula of a statement. Raises NotationError for a text that is none."""

    def read_claim(self, text: str) -> tuple[Formula, str]:
        """The formula of a statement, and how that is written as a claim. Raises NotationError.

        A claim counts only if it is written so, apart from case and blanks.
        """

    def show(self, formula: Formula) -> str:
        """The one text of a formula. Raises NotationError where the notation cannot express it."""
