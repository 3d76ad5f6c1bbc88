"""PrOntoQA's English, read word by word.

A noun follows an article or Each, begins a plural statement, or ends as only a plural can.
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


def _is_plural_noun(word: str) -> bool:
    """Whether a word ends as only plurals do: no adjective of this English ends so."""
    return word.endswith(("ses", "xes", "ches", "shes"))


def _singular_of(word: str) -> str:
    """The singular of a plural."""
    if _is_plural_noun(word):
        return word[:-2]
    if len(word) > 1 and word[-1] == "s":
        return word[:-1]
    raise Unreadable(f"'{word}' is not a plural")


def collect_nouns(premises: Sequence[str]) -> set[str]:
    nouns: set[str] = set()
    plurals: list[str] = []
    for parts in map(_take_apart, premises):
        if parts.form == _MANY:
            plurals += [parts.subject, *([parts.word] if _is_plural_noun(parts.word) else [])]
        else:
            nouns |= {parts.subject} if parts.form == _EACH else set()
            nouns |= {parts.word} if parts.has_article else set()
    many = {_plural_of(noun) for noun in nouns}
    nouns |= {_singular_of(word) for word in plurals if word not in many}
    if len({_plural_of(noun) for noun in nouns}) < len(nouns):
        raise Unreadable("two kinds have one plural")
    return nouns


def _plural_of(noun: str) -> str:
    return noun + ("es" if noun[-1] in "sx" or noun[-2:] in ("ch", "sh") else "s")


def read_english(text: str, nouns: set[str]) -> Formula:
    parts, many = _take_apart(text), {_plural_of(noun): noun for noun in nouns}
    word = parts.word
    if parts.form == _MANY and word in many:
        word = many[word]
    elif (word in nouns) != parts.has_article:
        raise Unreadable(f"'{word}' has the wrong article")
    atom = Atom(word, (parts.subject if parts.form == _NAME else "x",))
    claim: Formula = Not(atom) if parts.is_negated else atom
    if parts.form == _NAME:
        return claim
    kind = many.get(parts.subject, parts.subject) if parts.form == _MANY else parts.subject
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
