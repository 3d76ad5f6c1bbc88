"""PrOntoQA's English: statements about kinds, properties and named things.

    Each wumpus is a tumpus.    Wumpuses are not red.    Max is a wumpus.    Max is not red.

A *kind* is a noun (``a wumpus``, ``wumpuses``), a *property* an adjective (``red``). Rules are for-all
statements about a kind; facts are about a name. The premises show which word is which, and a later claim may
use no other words.

Many plurals have more than one singular: horses are the plural of horse, or of hors. What the premises say in
the singular decides. Where they say nothing, any of these nouns names the kind, because no other can: a kind
is never taken for another one by a guess.
"""

import re
from collections.abc import Sequence
from typing import ClassVar

from engine.logic.formulas import Atom, ForAll, Formula, Implies, Not
from engine.logic.limits import MAX_TEXT
from engine.logic.notation import NotationError

VARIABLE = "x"
_WORD = "[A-Za-z]{1,40}"
_SINGULAR_RULE = re.compile(rf"(?:Each|Every) ({_WORD}) is (not )?(an? )?({_WORD})\.")
_FACT = re.compile(rf"([A-Z][A-Za-z]{{0,39}}) is (not )?(an? )?({_WORD})\.")
_PLURAL_RULE = re.compile(rf"({_WORD}) are (not )?({_WORD})\.")
_VOWELS = "aeiou"


def article(noun: str) -> str:
    return "an" if noun[0] in _VOWELS else "a"


def plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in _VOWELS:
        return f"{noun[:-1]}ies"
    return noun + ("es" if _takes_es(noun) else "s")


def _takes_es(noun: str) -> bool:
    return noun.endswith(("s", "x", "z", "ch", "sh"))


def singulars(word: str) -> list[str]:
    """The nouns of which a word is the plural, the likeliest first; none where it is no plural."""
    stem = word[:-1]
    if not stem or not word.endswith("s"):
        return []
    found = []
    if word.endswith("ies") and word[-4:-3] not in _VOWELS:
        found.append(f"{word[:-3]}y")
    if word.endswith("oes") or word.endswith("es") and _takes_es(word[:-2]):
        found.append(word[:-2])
    if word.endswith("zzes"):
        found.append(word[:-3])
    if not _takes_es(stem):
        found.append(stem)
    if word.endswith("ves") and len(word) > 3:
        found += [f"{word[:-3]}f", f"{word[:-3]}fe"]
    if word.endswith("ses") and word[-4:-3] not in f"{_VOWELS}s":  # horses, nurses, pulses
        found.reverse()
    return found


class English:
    """The notation of one problem: its premises parsed, and the words that claims may use."""

    unknown_takes_lines: ClassVar[bool] = False
    assumes_known: ClassVar[bool] = False

    def __init__(self, premises: Sequence[str]) -> None:
        """Raises NotationError for a premise that is no statement, and for a plural of two kinds."""
        self._kinds = _kinds(premises)
        self._names: set[str] | None = None
        self._adjectives: set[str] | None = None
        self.premises = tuple(self.parse(text) for text in premises)
        names: set[str] = set()
        words: set[str] = set()
        for premise in self.premises:
            for word, is_name in _symbols(premise):
                (names if is_name else words).add(word)
        self._names, self._adjectives = names, words - self._kinds.keys()

    def read_question(self, text: str) -> Formula:
        return self.parse(text)

    def parse(self, text: str) -> Formula:
        return self.read_claim(text)[0]

    def read_claim(self, text: str) -> tuple[Formula, str]:
        """The formula of a statement and its one wording, which calls a kind what `text` calls it."""
        if len(text) > MAX_TEXT or not text.isascii():
            raise NotationError("a statement is plain ASCII text of reasonable length")
        text = " ".join(text.split())
        if match := _SINGULAR_RULE.fullmatch(text):
            kind, negated, has_article, word = match.groups()
            kind, word = kind.lower(), word.lower()
            formula = self._rule(self._kind(kind), bool(negated), self._predicate(word, bool(has_article)))
            return formula, f"Each {kind} is {negated or ''}{self._phrase(word)}."
        if match := _FACT.fullmatch(text):
            name, negated, has_article, word = match.groups()
            word = word.lower()
            if self._names is not None and name not in self._names:
                raise NotationError(f"'{name}' is not a name of this problem")
            atom = Atom(self._predicate(word, bool(has_article)), (name,))
            return Not(atom) if negated else atom, f"{name} is {negated or ''}{self._phrase(word)}."
        if match := _PLURAL_RULE.fullmatch(text):
            kinds, negated, word = match.groups()
            formula = self._rule(self._subject(kinds.lower()), bool(negated), self._complement(word.lower()))
            return formula, self.show(formula)
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

    def _phrase(self, word: str) -> str:
        return f"{article(word)} {word}" if word in self._kinds else word

    def _kind(self, noun: str) -> str:
        if noun not in self._kinds:
            raise NotationError(f"'{noun}' is not a kind of this problem")
        return self._kinds[noun]

    def _predicate(self, word: str, has_article: bool) -> str:
        if (word in self._kinds) != has_article:
            raise NotationError(f"'{word}' {'needs' if word in self._kinds else 'takes no'} article")
        if not has_article and self._adjectives is not None and word not in self._adjectives:
            raise NotationError(f"'{word}' is not a word of this problem")
        return self._kinds.get(word, word)

    def _subject(self, word: str) -> str:
        """The kind of a plural before ``are``."""
        if word in self._kinds:
            raise NotationError(f"'{word}' is a kind in the singular, and no plural")
        if kind := self._kind_of_plural(word):
            return kind
        found = "not the plural of a kind of this problem" if singulars(word) else "not a plural"
        raise NotationError(f"'{word}' is {found}")

    def _complement(self, word: str) -> str:
        """The kind of a plural after ``are``, or a property."""
        kind = "" if word in self._kinds else self._kind_of_plural(word)
        return kind or self._predicate(word, False)

    def _kind_of_plural(self, word: str) -> str:
        """Empty where no kind has this plural."""
        found = sorted({self._kinds[noun] for noun in singulars(word) if noun in self._kinds})
        if len(found) > 1:
            raise NotationError(f"'{found[0]}' and '{found[1]}' have one plural, '{word}'")
        return found[0] if found else ""

    @staticmethod
    def _rule(kind: str, negated: bool, predicate: str) -> Formula:
        head = Atom(predicate, (VARIABLE,))
        return ForAll(VARIABLE, Implies(Atom(kind, (VARIABLE,)), Not(head) if negated else head))


def _kinds(premises: Sequence[str]) -> dict[str, str]:
    """The kind that each noun of the premises names, in the singular.

    A noun follows an article or Each, or its plural comes before ``are``, or after it: adjectives that end in
    s end in -us or -ss, as in ``Cats are nervous``, and plurals do not. A noun that is only known by a plural
    with several singulars is one of these, and they all name one kind.
    """
    said: set[str] = set()
    adjectives: set[str] = set()
    subjects: set[str] = set()
    complements: set[str] = set()
    for text in premises:
        text = " ".join(text.split())
        if match := _SINGULAR_RULE.fullmatch(text):
            kind, _, has_article, word = match.groups()
            said.add(kind.lower())
        elif match := _FACT.fullmatch(text):
            _, _, has_article, word = match.groups()
        elif match := _PLURAL_RULE.fullmatch(text):
            many, _, word = match.groups()
            subjects.add(many.lower())
            complements.add(word.lower())
            continue
        else:
            continue
        (said if has_article else adjectives).add(word.lower())
    plurals = subjects | {word for word in complements - said - adjectives if not word.endswith("us")}
    candidates = {word: found for word in sorted(plurals) if (found := singulars(word))}
    kinds = {noun: noun for noun in said}
    kinds |= {found[0]: found[0] for found in candidates.values() if len(found) == 1}
    unsaid = {word: found for word, found in candidates.items() if kinds.keys().isdisjoint(found)}
    for word, found in unsaid.items():
        if shared := kinds.keys() & set(found):
            raise NotationError(f"'{min(shared)}' may be the singular of '{word}' and of another plural")
        kinds |= dict.fromkeys(found, found[0])
    return kinds


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
