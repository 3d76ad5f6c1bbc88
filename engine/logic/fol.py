"""First-order rules in ASCII: the notation for premises that English cannot express.

    all x (P(x) & Q(x) -> R(x))      -P(a)      Rain | -Snow -> Cold

Predicates and propositions begin with a capital, constants and variables with a small letter.
``-`` and ``all x`` bind tightest, then ``&``, then ``|``, then ``->`` (which groups to the right).
A claim may use only the names of the premises, and no name is both a variable and a constant.
The whole of first-order logic is in `engine.logic.first_order.notation`, which grows this notation.
"""

import re
from collections.abc import Sequence
from typing import ClassVar

from engine.logic.first_order.grammar import ALL, NOT, Names, Script, read, write
from engine.logic.formulas import Formula
from engine.logic.notation import NotationError

NAME = "[A-Za-z][A-Za-z0-9_]{0,39}(?![A-Za-z0-9_])"
SIGNS = {sign: sign for sign in (NOT, ALL, "->", "|", "&", "(", ")", ",")}
SPELLED = {sign: sign for sign in SIGNS} | {ALL: f"{ALL} "}
"""How `write` spells a sign: a word needs a blank after it."""


class Fol:
    """The notation of one problem: its premises parsed, and the names that claims may use."""

    script: ClassVar[Script] = Script(token=re.compile(rf" *(->|[-&|(),]|{NAME})"), signs=SIGNS, by_case=True)
    spelled: ClassVar[dict[str, str]] = SPELLED
    unknown_takes_lines: ClassVar[bool] = False
    assumes_known: ClassVar[bool] = False

    def __init__(self, premises: Sequence[str]) -> None:
        """Raises NotationError for a premise that is no formula, or that uses a name in two ways."""
        self._arity: dict[str, int] = {}
        self._constants: set[str] = set()
        self._variables: set[str] = set()
        self.premises = tuple(self._read(text, is_open=True) for text in premises)

    def read_question(self, text: str) -> Formula:
        """What is asked, in the names of the premises. Raises NotationError as `parse` does."""
        return self.parse(text)

    def parse(self, text: str) -> Formula:
        """The formula of a text. Raises NotationError where there is none, or it is too long or too deep."""
        return self._read(text, is_open=False)

    def read_claim(self, text: str) -> tuple[Formula, str]:
        """The formula of a text, and its one text. Raises NotationError as `parse` does."""
        formula = self.parse(text)
        return formula, self.show(formula)

    def show(self, formula: Formula) -> str:
        """The one text of a formula: single blanks, and only the brackets that it needs."""
        return write(formula, self.spelled)

    def is_free_name(self, name: str) -> bool:
        """Whether a claim may use a constant that neither the premises nor the question have."""
        return False

    def _read(self, text: str, *, is_open: bool) -> Formula:
        """The formula of a text whose names are the problem's; with `is_open` it adds its own to these."""
        formula, names = read(text, self.script)
        self._check(names, is_open=is_open)
        if is_open:
            self._arity.update(names.predicates.keys())
            self._constants.update(names.constants)
            self._variables.update(names.variables)
        return formula

    def _check(self, names: Names, *, is_open: bool) -> None:
        """Raises NotationError. Only this text's names are looked at: a problem may have very many."""
        arity: dict[str, int] = {}
        for (name, num_args), column in names.predicates.items():
            if not is_open and name not in self._arity:
                raise NotationError(f"'{name}' is not a name of this problem", column)
            if arity.setdefault(name, num_args) != num_args:
                raise NotationError(
                    f"'{name}' is used with {arity[name]} and with {num_args} arguments", column
                )
            if self._arity.get(name, num_args) != num_args:
                raise NotationError(
                    f"'{name}' takes {self._arity[name]} arguments in this problem, got {num_args}", column
                )
        for name, column in names.constants.items():
            if not (is_open or name in self._constants or self.is_free_name(name)):
                raise NotationError(f"'{name}' is not a name of this problem", column)
            if name in self._variables or name in names.variables:
                raise NotationError(f"'{name}' is used both as a constant and as a variable", column)
        for name, column in names.variables.items():
            if self.is_free_name(name):
                raise NotationError(f"'{name}' is kept for things of which nothing is said", column)
            if name in self._constants:
                raise NotationError(f"'{name}' is used both as a constant and as a variable", column)
