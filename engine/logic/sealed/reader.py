"""The sealed reading of a completion, and of the statements of one problem."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import digits

from engine.logic.formulas import Atom, ForAll, Formula, Not
from engine.logic.limits import MAX_CHARS, MAX_LINES, MAX_PREMISE_CHARS, MAX_PREMISES, MAX_TEXT
from engine.logic.sealed import Unreadable
from engine.logic.sealed.english import Vocabulary
from engine.logic.sealed.fol import read_fol, write_fol

_CONSTANT, _VARIABLE = -1, -2
"""They stand for a predicate's number of arguments where a name is no predicate."""


@dataclass(frozen=True, slots=True)
class SealedLine:
    claim: str
    citations: tuple[int, ...]
    rule: str
    number: int
    """0 where it or a citation is no number; then the line has no citations either."""


def split_completion(text: str) -> tuple[list[SealedLine | str], str]:
    """The proof lines and the answer; a reason replaces each row that is no line. Raises Unreadable."""
    rows = text.split("\n")
    if rows[-1] == "" and len(rows) > 1:
        rows.pop()
    if len(text) > MAX_CHARS or len(rows) > MAX_LINES + 1:
        raise Unreadable("the completion is too long")
    answers = [row for row in rows if row.startswith("Answer:")]
    if len(answers) != 1 or rows[-1] not in ("Answer: True", "Answer: False", "Answer: Unknown"):
        raise Unreadable("the completion does not end in its one answer")
    return [_split_line(row) for row in rows[:-1]], rows[-1].removeprefix("Answer: ")


def _split_line(row: str) -> SealedLine | str:
    claim, first, rest = row.partition(" [")
    justification, second, number = rest.partition("] [")
    if not (claim and first and second and number.endswith("]")) or set(justification) & set("[]"):
        return "not a claim, a justification and a number"
    *cited, rule = justification.split(" ")
    numbers = [*cited, number[:-1]]
    if any(not text or set(text) - set(digits) or text[0] == "0" or len(text) > 6 for text in numbers):
        return SealedLine(claim, (), rule, 0)
    return SealedLine(claim, tuple(int(text) for text in cited), rule, int(number[:-1]))


class SealedReader:
    """Reads the statements of one problem: first the premises, then claims in the premises' words."""

    def __init__(self, notation: str, premises: Sequence[str]) -> None:
        """Raises Unreadable for a premise that is no statement, or an unknown notation."""
        if notation not in ("english", "fol"):
            raise Unreadable(f"the notation '{notation}' has no sealed reading")
        if len(premises) > MAX_PREMISES or sum(len(premise) for premise in premises) > MAX_PREMISE_CHARS:
            raise Unreadable("the premises are too many")
        self._english = Vocabulary(premises) if notation == "english" else None
        self.premises = [self.read(premise) for premise in premises]
        symbols = list(_all_symbols(self.premises))
        self._predicates = {(name, arity) for name, arity in symbols if arity >= 0}
        self._constants = {name for name, arity in symbols if arity == _CONSTANT}
        variables = {name for name, arity in symbols if arity == _VARIABLE}
        if self._constants & variables or len(dict(self._predicates)) < len(self._predicates):
            raise Unreadable("a name is used in two ways")

    def read(self, text: str) -> Formula:
        """A premise or a question, in any wording of the notation. Raises Unreadable."""
        if len(text) > MAX_TEXT or not text.isascii():
            raise Unreadable("a statement is plain ASCII text of reasonable length")
        return self._english.read(text) if self._english else read_fol(text)

    def read_asked(self, text: str) -> Formula:
        """A statement in the premises' words. Raises Unreadable."""
        formula = self.read(text)
        for name, arity in _all_symbols([formula]):
            if arity == _VARIABLE:
                is_known = name not in self._constants
            elif arity == _CONSTANT:
                is_known = name in self._constants
            else:
                is_known = (name, arity) in self._predicates
            if not is_known:
                raise Unreadable(f"'{name}' is not a word of this problem")
        return formula

    def read_claim(self, text: str) -> Formula:
        """A statement in the premises' words and in the one wording of its formula. Raises Unreadable."""
        if not text.isprintable():
            raise Unreadable("the claim has characters that are not printable")
        formula = self.read_asked(text)
        written = self._english.written(text) if self._english else write_fol(formula)
        if written.replace(" ", "").lower() != text.replace(" ", "").lower():
            raise Unreadable(f"the claim is written '{written}'")
        return formula


def _all_symbols(formulas: Sequence[Formula]) -> Iterator[tuple[str, int]]:
    """Every name with its kind: a predicate's number of arguments, `_CONSTANT` or `_VARIABLE`."""
    waiting: list[tuple[Formula, frozenset[str]]] = [(formula, frozenset()) for formula in formulas]
    while waiting:
        formula, bound = waiting.pop()
        if isinstance(formula, Atom):
            yield formula.predicate, len(formula.args)
            yield from ((arg, _CONSTANT) for arg in formula.args if arg not in bound)
        elif isinstance(formula, ForAll):
            yield formula.variable, _VARIABLE
            waiting.append((formula.body, bound | {formula.variable}))
        elif isinstance(formula, Not):
            waiting.append((formula.body, bound))
        else:
            waiting += [(formula.left, bound), (formula.right, bound)]
