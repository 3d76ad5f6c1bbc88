"""PrOntoQA's English: statements about kinds, properties and named things.

    Each wumpus is a tumpus.    Wumpuses are not red.    Max is a wumpus.    Max is not red.

A *kind* is a noun (``a wumpus``, ``wumpuses``), a *property* an adjective (``red``). Rules are for-all
statements about a kind; facts are about a name. The premises show which word is which, and a later claim may
use no other words.
"""

import re
from collections.abc import Sequence

from engine.logic.formulas import Atom, ForAll, Formula, Implies, Not
from engine.logic.limits import MAX_TEXT
from engine.logic.notation import NotationError

VARIABLE = "x"
_WORD = "[A-Za-z]{1,40}"
_SINGULAR_RULE = re.compile(rf"(?:Each|Every) ({_WORD}) is (not )?(an? )?({_WORD})\.")
_FACT = re.compile(rf"([A-Z][A-Za-z]{{0,39}}) is (not )?(an? )?({_WORD})\.")
_NOUN_ENDINGS = ("ses", "xes", "ches", "shes")
_PLURAL_RULE = re.compile(rf"({_WORD}) are (not )?({_WORD})\.")


def article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def plural(noun: str) -> str:
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


class English:
    """The notation of one problem: its premises parsed, and the words that claims may use."""

    def __init__(self, premises: Sequence[str]) -> None:
        """Raises NotationError for a premise that is no statement, and for two kinds with one plural."""
        self._nouns = _nouns(premises)
        self._plurals = {plural(noun): noun for noun in sorted(self._nouns)}
        if len(self._plurals) < len(self._nouns):
            hidden = min(self._nouns - set(self._plurals.values()))
            other = self._plurals[plural(hidden)]
            raise NotationError(f"'{hidden}' and '{other}' have one plural, '{plural(hidden)}'")
        self._names: set[str] | None = None
        self._adjectives: set[str] | None = None
        self.premises = tuple(self.parse(text) for text in premises)
        names: set[str] = set()
        adjectives: set[str] = set()
        for premise in self.premises:
            for word, is_name in _symbols(premise):
                (names if is_name else adjectives).add(word)
        self._names, self._adjectives = names, adjectives - self._nouns

    def parse(self, text: str) -> Formula:
        if len(text) > MAX_TEXT or not text.isascii():
            raise NotationError("a statement is plain ASCII text of reasonable length")
        text = " ".join(text.split())
        if match := _SINGULAR_RULE.fullmatch(text):
            kind, negated, has_article, word = match.groups()
            return self._rule(
                self._noun(kind.lower()), bool(negated), self._predicate(word, bool(has_article))
            )
        if match := _FACT.fullmatch(text):
            name, negated, has_article, word = match.groups()
            if self._names is not None and name not in self._names:
                raise NotationError(f"'{name}' is not a name of this problem")
            atom = Atom(self._predicate(word, bool(has_article)), (name,))
            return Not(atom) if negated else atom
        if match := _PLURAL_RULE.fullmatch(text):
            kinds, negated, word = match.groups()
            word = word.lower()
            predicate = self._plurals.get(word) or self._predicate(word, False)
            return self._rule(
                self._noun(self._plurals.get(kinds.lower(), kinds.lower())), bool(negated), predicate
            )
        raise NotationError(f"not a statement: '{text[:80]}'")

    def show(self, formula: Formula) -> str:
        """The one sentence of a formula. Raises NotationError where this English has none."""
        match formula:
            case Atom(predicate, (name,)):
                return f"{name} is {self._phrase(predicate)}."
            case Not(Atom(predicate, (name,))):
                return f"{name} is not {self._phrase(predicate)}."
            case ForAll(variable, Implies(Atom(kind, (subject,)), Atom(predicate, (other,)))) if (
                subject == other == variable
            ):
                return f"Each {kind} is {self._phrase(predicate)}."
            case ForAll(variable, Implies(Atom(kind, (subject,)), Not(Atom(predicate, (other,))))) if (
                subject == other == variable
            ):
                return f"Each {kind} is not {self._phrase(predicate)}."
        raise NotationError(f"English has no sentence for {formula}")

    def _phrase(self, predicate: str) -> str:
        return f"{article(predicate)} {predicate}" if predicate in self._nouns else predicate

    def _noun(self, word: str) -> str:
        if word not in self._nouns:
            raise NotationError(f"'{word}' is not a kind of this problem")
        return word

    def _predicate(self, word: str, has_article: bool) -> str:
        word = word.lower()
        if (word in self._nouns) != has_article:
            raise NotationError(f"'{word}' {'needs' if word in self._nouns else 'takes no'} article")
        if not has_article and self._adjectives is not None and word not in self._adjectives:
            raise NotationError(f"'{word}' is not a word of this problem")
        return word

    @staticmethod
    def _rule(kind: str, negated: bool, predicate: str) -> Formula:
        head = Atom(predicate, (VARIABLE,))
        return ForAll(VARIABLE, Implies(Atom(kind, (VARIABLE,)), Not(head) if negated else head))


def _nouns(premises: Sequence[str]) -> set[str]:
    """The nouns of the premises, in the singular.

    A noun follows an article or Each. A plural subject is one too, though its singular may stand nowhere
    else. So is a word such as ``rompuses`` in ``Zumpuses are rompuses``, where the chain of kinds ends: no
    adjective ends that way.
    """
    nouns: set[str] = set()
    plurals: list[str] = []
    for text in premises:
        text = " ".join(text.split())
        if match := _SINGULAR_RULE.fullmatch(text):
            kind, _, has_article, word = match.groups()
            nouns.add(kind.lower())
        elif match := _FACT.fullmatch(text):
            _, _, has_article, word = match.groups()
        elif match := _PLURAL_RULE.fullmatch(text):
            kinds, _, word = match.groups()
            plurals += [kinds.lower(), *([word.lower()] if word.lower().endswith(_NOUN_ENDINGS) else [])]
            continue
        else:
            continue
        if has_article:
            nouns.add(word.lower())
    known = {plural(noun) for noun in nouns}
    return nouns | {_singular(word) for word in plurals if word not in known}


def _singular(word: str) -> str:
    if word.endswith(_NOUN_ENDINGS):
        return word[:-2]
    if word.endswith("s") and len(word) > 1:
        return word[:-1]
    raise NotationError(f"'{word}' is not a plural")


def _symbols(formula: Formula) -> list[tuple[str, bool]]:
    """The words of a premise, each with whether it is a name."""
    match formula:
        case Atom(predicate, (name,)):
            return [(predicate, False)] + ([(name, True)] if name != VARIABLE else [])
        case Not(body) | ForAll(_, body):
            return _symbols(body)
        case Implies(left, right):
            return _symbols(left) + _symbols(right)
    return []
