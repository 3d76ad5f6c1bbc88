"""PrOntoQA's English by its words, in order.

A noun is what follows an article or Each, what begins a plural statement, or what only a plural ends like.
"""

from collections.abc import Sequence
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
    for premise in premises:
        words = _words(premise)
        if "are" in words[1:2]:
            plurals.append(words[0].lower())
            plurals += [words[-1].lower()] if _is_plural_noun(words[-1].lower()) else []
        else:
            nouns |= {words[1].lower()} if words[0] in ("Each", "Every") and words[2:3] == ["is"] else set()
            nouns |= {words[-1].lower()} if words[-2:-1] in (["a"], ["an"]) else set()
    many = {_many(noun) for noun in nouns}
    nouns |= {_one_of(word) for word in plurals if word not in many}
    if len({_many(noun) for noun in nouns}) < len(nouns):
        raise Unreadable("two kinds have one plural")
    return nouns


def _many(noun: str) -> str:
    return noun + ("es" if noun[-1] in "sx" or noun[-2:] in ("ch", "sh") else "s")


def read_english(text: str, nouns: set[str]) -> Formula:
    many = {_many(noun): noun for noun in nouns}
    words = _words(text)
    if "are" in words[1:2]:
        subject, verb_at = many.get(words[0].lower(), words[0].lower()), 1
    elif words[0] in ("Each", "Every") and words[2:3] == ["is"]:
        subject, verb_at = words[1].lower(), 2
    elif words[0][0] in ascii_uppercase and words[1:2] == ["is"]:
        subject, verb_at = "", 1
    else:
        raise Unreadable(f"not a statement: '{text[:80]}'")
    rest = words[verb_at + 1 :]
    is_negated = rest[:1] == ["not"] and len(rest) > 1
    rest = rest[is_negated:]
    is_singular = words[verb_at] == "is"
    has_article = is_singular and rest[:1] in (["a"], ["an"]) and len(rest) == 2
    if len(rest) - has_article != 1:
        raise Unreadable(f"not a statement: '{text[:80]}'")
    word = rest[-1].lower()
    if not is_singular and word in many:
        word = many[word]
    elif (word in nouns) != has_article:
        raise Unreadable(f"'{word}' has the wrong article")
    if subject and subject not in nouns:
        raise Unreadable(f"'{subject}' is no kind")
    atom = Atom(word, ("x",) if subject else (words[0],))
    said: Formula = Not(atom) if is_negated else atom
    return ForAll("x", Implies(Atom(subject, ("x",)), said)) if subject else said


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
