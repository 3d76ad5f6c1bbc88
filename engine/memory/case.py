"""A statement as it can be judged: about whom, about what, with its value in the form in which it is held."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.memory.book import Book, person_key
from engine.memory.reality import are_one, as_written
from engine.memory.talk import Talk, hear, holds, names_another, weight
from engine.people.attributes import Attribute
from engine.people.speakers import speaker_of
from engine.people.values import places_of
from engine.records import Dialogue, Fact, Statement

_NOBODY = frozenset("i you he she it we they me him her us them someone somebody everyone nobody".split())  # noqa: SIM905
_TITLES = frozenset("mr mrs ms miss dr prof professor sir madam".split())  # noqa: SIM905
_FIXED = ("birth_place", "birthday")
"""Attributes that never change, beside years and dates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A statement about a known attribute."""

    statement: Statement
    fact: Fact
    """With the person's full name, where that is clear."""
    attribute: Attribute
    talk: Talk
    importance: int
    unclear: str
    """Why it is not clear about whom it is, as a sentence; empty where it is."""

    @property
    def may_change(self) -> bool:
        """Whether the attribute can have another value later."""
        return self.attribute.kind not in ("year", "date") and self.attribute.key not in _FIXED

    @property
    def as_said(self) -> str:
        """The value with ``the`` where it was said so: who works for the North Wind works for nobody."""
        has_article = self.attribute.kind == "work" and holds(self.talk.sentence, f"the {self.fact.value}")
        return f"the {self.fact.value}" if has_article else self.fact.value


def case_of(statement: Statement, dialogue: Dialogue | None, attribute: Attribute, book: Book) -> Case:
    """Read a statement in its talk, beside what is known; without the talk there are only its own words."""
    if dialogue and statement.turn < len(dialogue.turns):
        talk = hear(statement, dialogue)
    else:
        fact = statement.fact
        talk = Talk(subject=fact.subject, value=fact.value, sentence=statement.text)
    subject, unclear = _person(statement.fact.subject, talk, dialogue, book)
    value = as_written(statement.fact, attribute)
    return Case(
        statement=statement,
        fact=Fact(subject=subject, attribute=attribute.key, value=value),
        attribute=attribute,
        talk=talk,
        importance=max(1, min(10, attribute.importance + weight(talk))),
        unclear=unclear,
    )


def _person(name: str, talk: Talk, dialogue: Dialogue | None, book: Book) -> tuple[str, str]:
    """The full name of whom a statement is about, and why that is unclear, as a sentence."""
    words = [word for word in name.split() if word.strip(".").casefold() not in _TITLES]
    name = " ".join(words)
    speaker = speaker_of(dialogue) if dialogue else ""
    known = list(dict.fromkeys([*([speaker] if speaker else []), *book.people]))
    exact = next((each for each in known if person_key(each) == person_key(name)), "")
    if not words or (len(words) == 1 and words[0].casefold() in _NOBODY):
        return name, f"It is not clear whom '{name}' means."
    if len(words) == 1 and not exact:
        return _in_short(name, known, dialogue)
    twin = next((each for each in known if are_one(each, name)), "")
    if twin and not exact:
        return name, f"{name} may be {twin}, whose name differs only in an accent, or somebody else."
    if exact and names_another(talk, name):
        return name, f"It is about another {name} than the one who is known, or may be."
    return exact or name, ""


def _in_short(name: str, known: Sequence[str], dialogue: Dialogue | None) -> tuple[str, str]:
    """The one person in a talk whose first or last name was said."""
    text = " ".join(turn.text for turn in dialogue.turns) if dialogue else ""
    present = [each for each in known if dialogue and (each == speaker_of(dialogue) or places_of(each, text))]
    found = [each for each in present if person_key(name) in map(person_key, each.split())]
    if len(found) == 1:
        return found[0], ""
    meant = f": it may be {' or '.join(found)}" if found else ", and the talk names nobody in full"
    return name, f"It is not clear who {name} is{meant}."
