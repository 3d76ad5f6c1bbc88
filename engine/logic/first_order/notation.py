"""First-order logic with equality in ASCII: the notation `first_order` of problems and proofs.

    all x (Student(x) -> exists y (Reads(x, y) & y != x))      Rain | Snow xor Sun      Cold <-> -Warm

Predicates and propositions begin with a capital, constants and variables with a small letter. Binding
strength, tightest first: ``-``, ``all x``, ``exists x``, ``=`` and ``!=``; ``&``; ``|``; ``xor``; ``->``,
which groups to the right; ``<->``. ``a != b`` is the denial of ``a = b``.

A question may have names that no premise has. Claims may use the names of both, and ``c1`` to ``c99`` for
things of which nothing is said, as `ug` and `ee` need them (`engine.logic.rules`). No name is both a variable
and a constant, and a predicate has one number of arguments.
"""

import re
from typing import ClassVar

from engine.logic.first_order.grammar import ALL, EQUAL, EXISTS, JOINS, NOT, UNEQUAL, Script, read, write
from engine.logic.fol import NAME, Fol
from engine.logic.formulas import Formula

SIGNS = {sign: sign for sign in (NOT, ALL, EXISTS, EQUAL, UNEQUAL, *(sign for sign, _ in JOINS), *"(),")}
SPELLED = SIGNS | {ALL: f"{ALL} ", EXISTS: f"{EXISTS} "}
SCRIPT = Script(token=re.compile(rf" *(<->|->|!=|[-&|=(),]|{NAME})"), signs=SIGNS, by_case=True)
FRESH = re.compile("c[1-9][0-9]?")


class FirstOrder(Fol):
    """The notation of one problem: its premises parsed, and the names that claims may use."""

    script: ClassVar[Script] = SCRIPT
    spelled: ClassVar[dict[str, str]] = SPELLED
    unknown_takes_lines: ClassVar[bool] = True
    assumes_known: ClassVar[bool] = True

    def read_question(self, text: str) -> Formula:
        """What is asked, whose names claims may use as well. Raises NotationError as `parse` does."""
        return self._read(text, is_open=True)

    def is_free_name(self, name: str) -> bool:
        return FRESH.fullmatch(name) is not None


def parse(text: str) -> Formula:
    """The formula of a text that belongs to no problem. Raises NotationError."""
    return read(text, SCRIPT)[0]


def show(formula: Formula) -> str:
    """The one text of a formula; `parse` reads it back."""
    return write(formula, SPELLED)
