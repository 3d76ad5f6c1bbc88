"""FOLIO's notation, as people and models write it: read leniently, and written in one way.

    ∀x (Student(x) → ∃y (Reads(x, y) ∧ ¬(y = x)))      Rain(today) ⊕ Sun(today)

ASCII and other common spellings are read as well. Names are taken as they are (`gpt-3`, `c++`, `Świątek`);
`engine.logic.first_order.names` makes them plain. A single letter from u to z is a variable, and an error
where nothing binds it. Without a bracket after it, a quantifier reaches as far as it can: ``∀x P(x) → Q(x)``
is about one x.
"""

import re

from engine.logic.first_order.grammar import ALL, EQUAL, EXISTS, NOT, UNEQUAL, Script, read, write
from engine.logic.formulas import Formula

SPELLINGS = {
    NOT: ("¬", "~", "-", "!", "not"),
    ALL: ("∀", "forall", "all"),
    EXISTS: ("∃", "exists"),
    EQUAL: ("=",),
    UNEQUAL: ("≠", "!="),
    "&": ("∧", "&", "&&", "^", "/\\", "and"),
    "|": ("∨", "|", "||", "\\/", "or"),
    "xor": ("⊕", "⊻", "xor"),
    "->": ("→", "⇒", "->", "=>", "implies"),
    "<->": ("↔", "⟷", "⇔", "<->", "<=>", "iff"),
    "(": ("(",),
    ")": (")",),
    ",": (",",),
}
"""The spellings of each sign; the first is the one that is written."""
_SIGNS = {spelling: sign for sign, spellings in SPELLINGS.items() for spelling in spellings}
_SPELLED = {sign: spellings[0] for sign, spellings in SPELLINGS.items()}
_NAME = r"\w{1,80}(?:[-.'’]\w{1,80})*\+{0,2}"
_MARKS = "|".join(re.escape(each) for each in sorted(_SIGNS, key=len, reverse=True) if not each.isalpha())
_BLANKS = " \t\n\xa0"
SCRIPT = Script(
    token=re.compile(rf"[{_BLANKS}]*({_MARKS}|{_NAME})"),
    signs=_SIGNS,
    by_case=False,
    ends_with_stop=True,
    unbracketed_reach=True,
    blanks=_BLANKS,
    loose_variable=re.compile("[u-z][0-9]?"),
)


def read_folio(text: str) -> Formula:
    """The formula of a text. Raises NotationError, with the column, where there is none."""
    return read(text, SCRIPT)[0]


def write_folio(formula: Formula) -> str:
    """The text of a formula in FOLIO's signs; `read_folio` reads it back."""
    return write(formula, _SPELLED, bracket_bodies=True)
