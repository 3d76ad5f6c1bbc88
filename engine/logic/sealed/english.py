"""PrOntoQA's English, read word by word.

A noun follows an article or Each, its plural stands before ``are``, or after it where no adjective looks so.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from string import ascii_letters, ascii_uppercase

from engine.logic.formulas import Atom, ForAll, Formula, Implies, Not
from engine.logic.sealed import Unreadable


def _words(text: str) -> list[str]:
    words = text.split()
    if not words or not words[-1].endswith("."):
        raise Unreadable("a statement ends in a full stop")
    words[-1] = words[-1][:-1]
    if any(not word or set(word) - set(ascii_letters) or len(word) > 40 for word in words):
        raise Unreadable("a statement is made of words")
    return words


@dataclass(frozen=True, slots=True)
class _Statement:
    """The words of a statement in their places, in small letters except a name."""

    form: str
    subject: str
    is_negated: bool
    has_article: bool
    word: str


_EACH, _NAME, _MANY = "each", "name", "many"
_VERBS = ((_EACH, 2, "is"), (_NAME, 1, "is"), (_MANY, 1, "are"))
"""For each form the position of its verb, and the verb."""


def _take_apart(text: str) -> _Statement:
    """The parts of a statement. Raises Unreadable for a text that is none."""
    words = _words(text)
    for form, at, verb in _VERBS:
        if words[at : at + 1] != [verb] or not _may_begin(form, words[0]):
            continue
        rest = words[at + 1 :]
        is_negated = rest[:1] == ["not"] and len(rest) > 1
        rest = rest[is_negated:]
        has_article = verb == "is" and rest[:1] in (["a"], ["an"]) and len(rest) == 2
        # A noun may look like a verb ("Each are is red."): the verb is the one with a predicate after it.
        if len(rest) - has_article == 1:
            subject = words[0] if form == _NAME else words[at - 1].lower()
            return _Statement(form, subject, is_negated, has_article, rest[-1].lower())
    raise Unreadable(f"not a statement: '{text[:80]}'")


def _may_begin(form: str, word: str) -> bool:
    if form == _EACH:
        return word in ("Each", "Every")
    return form == _MANY or word[0] in ascii_uppercase


def _hisses(stem: str) -> bool:
    """Whether a word takes -es in the plural, as after it -s could not be spoken."""
    return stem[-1:] in tuple("sxz") or stem[-2:] in ("ch", "sh")


def _ends_in(letters: str, *, other: bool = False) -> Callable[[str], bool]:
    """Whether a stem ends in one of these letters, or with `other` in a letter that is none of them."""
    return lambda stem: stem != "" and (stem[-1] in letters) != other


_ENDINGS: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("ses", "se", _ends_in("aeious", other=True)),
    ("ies", "y", _ends_in("aeiou", other=True)),
    *((f"{end}es", end, lambda stem: True) for end in ("s", "x", "z", "ch", "sh", "o")),
    ("zzes", "z", lambda stem: True),
    ("s", "", lambda stem: stem != "" and not _hisses(stem)),
    ("ves", "f", lambda stem: stem != ""),
    ("ves", "fe", lambda stem: stem != ""),
)
"""How plurals end, how their singulars do instead, and after which stems; the likeliest first."""


def _singulars_of(word: str) -> list[str]:
    """Every noun of which a word may be the plural."""

    def fitting() -> Iterator[str]:
        for many, one, fits in _ENDINGS:
            if word.endswith(many) and fits(stem := word[: len(word) - len(many)]):
                yield stem + one

    return list(dict.fromkeys(fitting()))


class Vocabulary:
    """The words of one problem, and the reading of statements in them."""

    def __init__(self, premises: Sequence[str]) -> None:
        """Raises Unreadable for a premise that is no statement, and where a noun may have two plurals."""
        statements = [_take_apart(text) for text in premises]
        nouns = {parts.subject for parts in statements if parts.form == _EACH}
        nouns |= {parts.word for parts in statements if parts.has_article}
        adjectives = {parts.word for parts in statements if parts.form != _MANY and not parts.has_article}
        many = {parts.word for parts in statements if parts.form == _MANY and parts.word[-2:] != "us"}
        many -= nouns | adjectives
        many |= {parts.subject for parts in statements if parts.form == _MANY}
        possible = [singulars for word in many if (singulars := _singulars_of(word))]
        nouns |= {singulars[0] for singulars in possible if len(singulars) == 1}
        self._names_of_kind = {noun: noun for noun in nouns}
        for singulars in possible:
            if nouns & set(singulars):
                continue
            if self._names_of_kind.keys() & set(singulars):
                raise Unreadable("two plurals may have one singular")
            # Nothing tells which noun it is: each of them is a name of this kind.
            self._names_of_kind.update(dict.fromkeys(singulars, singulars[0]))

    def read(self, text: str) -> Formula:
        parts = _take_apart(text)
        word = self._predicate(parts)
        atom = Atom(word, (parts.subject if parts.form == _NAME else "x",))
        claim: Formula = Not(atom) if parts.is_negated else atom
        if parts.form == _NAME:
            return claim
        return ForAll("x", Implies(Atom(self._kind(parts), ("x",)), claim))

    def written(self, text: str) -> str:
        """The one wording of a statement, with the names of kinds that it uses itself."""
        parts = _take_apart(text)
        subject, word = parts.subject, parts.word
        if parts.form == _MANY:
            subject, word = self._kind(parts), self._predicate(parts)
        begin = subject if parts.form == _NAME else f"Each {subject}"
        article = ("an " if word[0] in "aeiou" else "a ") if word in self._names_of_kind else ""
        return f"{begin} is {'not ' if parts.is_negated else ''}{article}{word}."

    def _kind(self, parts: _Statement) -> str:
        kind = self._names_of_kind.get(parts.subject)
        if parts.form == _MANY:
            kind = None if kind else self._kind_of_many(parts.subject)
        if kind is None:
            raise Unreadable(f"'{parts.subject}' is no kind")
        return kind

    def _predicate(self, parts: _Statement) -> str:
        word, is_noun = parts.word, parts.word in self._names_of_kind
        if parts.form == _MANY and not is_noun and (kind := self._kind_of_many(word)):
            return kind
        if is_noun != parts.has_article:
            raise Unreadable(f"'{word}' has the wrong article")
        return self._names_of_kind.get(word, word)

    def _kind_of_many(self, word: str) -> str | None:
        kinds = {self._names_of_kind[noun] for noun in _singulars_of(word) if noun in self._names_of_kind}
        if len(kinds) > 1:
            raise Unreadable("two kinds have one plural")
        return next(iter(kinds), None)
