"""The sealed reading of a completion, and of the statements of one problem."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import digits

from engine.logic.formulas import Atom, Equals, Exists, ForAll, Formula, Not
from engine.logic.limits import MAX_CHARS, MAX_LINES, MAX_PREMISE_CHARS, MAX_PREMISES, MAX_TEXT
from engine.logic.sealed import Unreadable
from engine.logic.sealed.english import Vocabulary
from engine.logic.sealed.fol import FormulaReader, write_fol
from engine.logic.sealed.proofwriter import Rulebook, without_contraposition

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
        if len(premises) > MAX_PREMISES or sum(len(premise) for premise in premises) > MAX_PREMISE_CHARS:
            raise Unreadable("the premises are too many")
        for premise in premises:
            _require_plain(premise)
        self._is_full = notation == "first_order"
        self.unknown_takes_lines = notation in ("first_order", "proofwriter")
        """Whether lines may stand before an answer Unknown."""
        self._asks_anything = self._is_full
        self._predicates: dict[str, int] = {}
        self._constants: set[str] = set()
        self._variables: set[str] = set()
        self._words: Vocabulary | Rulebook | FormulaReader
        if notation == "english":
            self._words = Vocabulary(premises)
        elif notation == "proofwriter":
            self._words = Rulebook(premises)
            self._asks_anything = not self._words.is_closed
        elif notation in ("fol", "first_order"):
            self._words = FormulaReader(self._is_full)
        else:
            raise Unreadable(f"the notation '{notation}' has no sealed reading")
        self.premises = (
            self._words.premises
            if isinstance(self._words, Rulebook)
            else [self._words.read(premise) for premise in premises]
        )
        self._learn(self.premises)
        self._constants_of_premises = frozenset(self._constants)

    def read(self, text: str) -> Formula:
        """A premise or a question, in any wording of the notation. Raises Unreadable."""
        _require_plain(text)
        return self._words.read(text)

    def read_question(self, text: str) -> Formula:
        """What is asked. It may have words of its own, which claims may then use. Raises Unreadable.

        Not so in `english` and `fol`, and in a closed world, where they would be false of everything.
        """
        if not self._asks_anything:
            return self.read_asked(text)
        formula = self.read(text)
        self._learn([formula])
        return formula

    def read_asked(self, text: str) -> Formula:
        """A statement in the words of the premises, and of the question. Raises Unreadable."""
        formula = self.read(text)
        for name, arity in _all_symbols([formula]):
            if arity == _VARIABLE:
                is_known = name not in self._constants and not self._is_any(name)
            elif arity == _CONSTANT:
                is_known = name in self._constants or self._is_any(name)
            else:
                is_known = self._predicates.get(name) == arity
            if not is_known:
                raise Unreadable(f"'{name}' is not a word of this problem")
        return formula

    def one_way(self, formulas: Sequence[Formula]) -> list[Formula]:
        """Formulas as a problem means them that leaves a question open: ProofWriter's rules lead one way."""
        is_one_way = isinstance(self._words, Rulebook)
        return [without_contraposition(formula) if is_one_way else formula for formula in formulas]

    def unknown_in(self, formula: Formula) -> frozenset[str]:
        """The constants of a formula that no premise has."""
        constants = {name for name, arity in _all_symbols([formula]) if arity == _CONSTANT}
        return frozenset(constants - self._constants_of_premises)

    def _is_any(self, name: str) -> bool:
        """Whether a claim may call something so of which nothing is said: c1 to c99."""
        number = name[1:]
        is_number = 1 <= len(number) <= 2 and not set(number) - set(digits) and number[0] != "0"
        return self._is_full and name[0] == "c" and is_number

    def _learn(self, formulas: Sequence[Formula]) -> None:
        """Take the words of formulas as words of the problem. Raises Unreadable for one used in two ways."""
        for name, arity in _all_symbols(formulas):
            if arity == _VARIABLE and self._is_any(name):
                raise Unreadable(f"'{name}' is kept for things of which nothing is said")
            if arity == _VARIABLE:
                self._variables.add(name)
            elif arity == _CONSTANT:
                self._constants.add(name)
            elif self._predicates.setdefault(name, arity) != arity:
                raise Unreadable("a name is used in two ways")
        if self._constants & self._variables:
            raise Unreadable("a name is used in two ways")

    def read_claim(self, text: str) -> Formula:
        """A statement in the premises' words and in the one wording of its formula. Raises Unreadable."""
        if not text.isprintable():
            raise Unreadable("the claim has characters that are not printable")
        formula = self.read_asked(text)
        written = write_fol(formula) if isinstance(self._words, FormulaReader) else self._words.written(text)
        if written.replace(" ", "").lower() != text.replace(" ", "").lower():
            raise Unreadable(f"the claim is written '{written}'")
        return formula


def symbols_of(formula: Formula) -> frozenset[tuple[str, int]]:
    """The predicates of a formula with their numbers of arguments, and its constants with -1."""
    return frozenset(symbol for symbol in _all_symbols([formula]) if symbol[1] != _VARIABLE)


def _require_plain(text: str) -> None:
    if len(text) > MAX_TEXT or not text.isascii():
        raise Unreadable("a statement is plain ASCII text of reasonable length")


def _all_symbols(formulas: Sequence[Formula]) -> Iterator[tuple[str, int]]:
    """Every name with its kind: a predicate's number of arguments, `_CONSTANT` or `_VARIABLE`."""
    waiting: list[tuple[Formula, frozenset[str]]] = [(formula, frozenset()) for formula in formulas]
    while waiting:
        formula, bound = waiting.pop()
        if isinstance(formula, Atom):
            yield formula.predicate, len(formula.args)
            yield from ((arg, _CONSTANT) for arg in formula.args if arg not in bound)
        elif isinstance(formula, Equals):
            yield from ((term, _CONSTANT) for term in (formula.left, formula.right) if term not in bound)
        elif isinstance(formula, ForAll | Exists):
            yield formula.variable, _VARIABLE
            waiting.append((formula.body, bound | {formula.variable}))
        elif isinstance(formula, Not):
            waiting.append((formula.body, bound))
        else:
            waiting += [(formula.left, bound), (formula.right, bound)]
