"""Formulas that a reply gives sentences, read and compared with the gold ones a second time."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TypeAlias

from engine.logic.entailment import Entailment
from engine.logic.formulas import Atom, Equals, Exists, ForAll, Formula, Iff, Not
from engine.logic.sealed import Unreadable
from engine.logic.sealed.reader import SealedReader, symbols_of

Symbol: TypeAlias = tuple[str, int]
"""A predicate with its number of arguments, or a constant, which has -1."""
MAX_QUESTIONS = 2_000
"""Pairs of formulas put to Z3 before the search ends without an answer."""
_WORK = 400_000
"""Steps by Z3's own count for each pair of formulas."""


def split_formalized(text: str, num_premises: int) -> tuple[list[str], str]:
    """The formulas of the sentences and of the question, and the rest of a reply. Raises Unreadable."""
    rows = text.split("\n")
    texts = []
    for label in (*map(str, range(1, num_premises + 1)), "?"):
        row = rows.pop(0) if rows else ""
        if not row.endswith(f" [{label}]") or row.startswith(" ["):
            raise Unreadable(f"no formula is numbered [{label}] in its place")
        texts.append(row.removesuffix(f" [{label}]"))
    return texts, "\n".join(rows)


def says_the_same(texts: Sequence[str], gold: Sequence[str]) -> bool | None:
    """Whether formulas are the gold ones, in their order, but for names. None where Z3 gives up.

    Raises Unreadable for a formula that is none, and MemoryError.
    """
    *premises, question = texts
    reader = SealedReader("first_order", premises)
    found = [*reader.premises, reader.read_question(question)]
    *premises, question = gold
    meant = SealedReader("first_order", premises)
    return _Alignment(found, [*meant.premises, meant.read_question(question)]).exists()


class _Alignment:
    """A search for names, symbol by symbol, in which each pair is asked about as soon as it is named."""

    def __init__(self, found: Sequence[Formula], meant: Sequence[Formula]) -> None:
        self._found, self._meant = found, meant
        self._symbols: list[Symbol] = []
        self._candidates: list[list[str]] = []
        """For each symbol the names that it may have, the likeliest first."""
        self._ready: dict[int, list[int]] = {}
        """By the number of named symbols the formulas that are then complete."""
        self._num_left = MAX_QUESTIONS
        self._gave_up = False
        # Formulas of few symbols first, which leave little choice.
        for place in sorted(range(len(found)), key=lambda place: len(symbols_of(found[place]))):
            for symbol in sorted(symbols_of(found[place])):
                if symbol not in self._symbols:
                    self._symbols.append(symbol)
                    self._candidates.append(self._names_for(symbol))
            self._ready.setdefault(len(self._symbols), []).append(place)

    def _names_for(self, symbol: Symbol) -> list[str]:
        """Names of the formulas that stand where the symbol does, and last one of its own: others may do
        without it."""
        beside = [
            symbols_of(meant)
            for found, meant in zip(self._found, self._meant, strict=True)
            if symbol in symbols_of(found)
        ]
        names = {name for symbols in beside for name, arity in symbols if arity == symbol[1]}

        def likeness(name: str) -> tuple[bool, float]:
            return name == symbol[0], SequenceMatcher(None, name, symbol[0]).ratio()

        return [*sorted(sorted(names), key=likeness, reverse=True), f"{symbol[0]}?"]

    def exists(self) -> bool | None:
        if self._extend({}):
            return True
        return None if self._gave_up else False

    def _extend(self, names: dict[Symbol, str]) -> bool:
        if not all(self._is_same(place, names) for place in self._ready.get(len(names), ())):
            return False
        if len(names) == len(self._symbols):
            return True
        symbol = self._symbols[len(names)]
        taken = {name for (_, arity), name in names.items() if arity == symbol[1]}
        free = (name for name in self._candidates[len(names)] if name not in taken)
        return any(self._extend({**names, symbol: name}) for name in free if self._num_left)

    def _is_same(self, place: int, names: dict[Symbol, str]) -> bool:
        self._num_left -= self._num_left > 0
        if not self._num_left:
            self._gave_up = True
            return False
        claim = Iff(_named(self._found[place], names, frozenset()), self._meant[place])
        found = Entailment(work=_WORK).follows((), claim)
        self._gave_up |= found is None
        return found is True


def _named(formula: Formula, names: dict[Symbol, str], bound: frozenset[str]) -> Formula:
    def term(name: str) -> str:
        return name if name in bound else names[name, -1]

    if isinstance(formula, Atom):
        return Atom(names[formula.predicate, len(formula.args)], tuple(map(term, formula.args)))
    if isinstance(formula, Equals):
        return Equals(term(formula.left), term(formula.right))
    if isinstance(formula, Not):
        return Not(_named(formula.body, names, bound))
    if isinstance(formula, ForAll | Exists):
        return type(formula)(formula.variable, _named(formula.body, names, bound | {formula.variable}))
    return type(formula)(_named(formula.left, names, bound), _named(formula.right, names, bound))
