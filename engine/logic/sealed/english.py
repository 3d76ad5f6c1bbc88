"""PrOntoQA's English by its words, in order.

A noun is what follows an article or Each, what begins a plural statement, or what only a plural ends like.
"""

from collections.abc import Sequence
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
    """The words of a statement in their places, in small letters but for a name."""

    form: str
    subject: str
    is_negated: bool
    has_article: bool
    word: str


_EACH, _NAME, _MANY = "each", "name", "many"
_VERBS = ((_EACH, 2, "is"), (_NAME, 1, "is"), (_MANY, 1, "are"))
"""By form: where its verb stands, and which it is."""


def _take_apart(text: str) -> _Statement:
    """Raises Unreadable for what is no statement."""
    words = _words(text)
    for form, at, verb in _VERBS:
        if words[at : at + 1] != [verb] or not _may_begin(form, words[0]):
            continue
        said = words[at + 1 :]
        is_negated = said[:1] == ["not"] and len(said) > 1
        said = said[is_negated:]
        has_article = verb == "is" and said[:1] in (["a"], ["an"]) and len(said) == 2
        # A noun may look like a verb ("Each are is red."): the verb is the one with a predicate after it.
        if len(said) - has_article == 1:
            subject = words[0] if form == _NAME else words[at - 1].lower()
            return _Statement(form, subject, is_negated, has_article, said[-1].lower())
    raise Unreadable(f"not a statement: '{text[:80]}'")


def _may_begin(form: str, word: str) -> bool:
    if form == _EACH:
        return word in ("Each", "Every")
    return form == _MANY or word[0] in ascii_uppercase


def _is_plural_noun(word: str) -> bool:
    """No adjective of this English ends so."""
    return word.endswith(("ses", "xes", "ches", "shes"))


def _one_of(word: str) -> str:
    """The singular of a plural."""
    if _is_plural_noun(word):
        return word[:-2]
    if len(word) > 1 and word[-1] == "s":
        return word[:-1]
    raise Unreadable(f"'{word}' is not a plural")


def collect_nouns(premises: Sequence[str]) -> set[str]:
    nouns: set[str] = set()
    plurals: list[str] = []
    for said in map(_take_apart, premises):
        if said.form == _MANY:
            plurals += [said.subject, *([said.word] if _is_plural_noun(said.word) else [])]
        else:
            nouns |= {said.subject} if said.form == _EACH else set()
            nouns |= {said.word} if said.has_article else set()
    many = {_many(noun) for noun in nouns}
    nouns |= {_one_of(word) for word in plurals if word not in many}
    if len({_many(noun) for noun in nouns}) < len(nouns):
        raise Unreadable("two kinds have one plural")
    return nouns


def _many(noun: str) -> str:
    return noun + ("es" if noun[-1] in "sx" or noun[-2:] in ("ch", "sh") else "s")


def read_english(text: str, nouns: set[str]) -> Formula:
    said, many = _take_apart(text), {_many(noun): noun for noun in nouns}
    word = said.word
    if said.form == _MANY and word in many:
        word = many[word]
    elif (word in nouns) != said.has_article:
        raise Unreadable(f"'{word}' has the wrong article")
    atom = Atom(word, (said.subject if said.form == _NAME else "x",))
    claim: Formula = Not(atom) if said.is_negated else atom
    if said.form == _NAME:
        return claim
    kind = many.get(said.subject, said.subject) if said.form == _MANY else said.subject
    if kind not in nouns:
        raise Unreadable(f"'{kind}' is no kind")
    return ForAll("x", Implies(Atom(kind, ("x",)), claim))


def write_english(formula: Formula, nouns: set[str]) -> str:
    subject = ""
    if isinstance(formula, ForAll) and isinstance(formula.body, Implies):
        assert isinstance(formula.body.left, Atom)
        subject, formula = f"Each {formula.body.left.predicate}", formula.body.right
    is_negated = isinstance(formula, Not)
    atom = formula.body if isinstance(formula, Not) else formula
    assert isinstance(atom, Atom)
    article = ("an " if atom.predicate[0] in "aeiou" else "a ") if atom.predicate in nouns else ""
    return f"{subject or atom.args[0]} is {'not ' if is_negated else ''}{article}{atom.predicate}."
