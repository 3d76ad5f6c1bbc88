"""Whether a fact can be true beside what is held of the same person, or of relatives.

Nobody moves before being born, is older than a parent, or is married to somebody else's spouse.
"""

from collections.abc import Mapping
from typing import TypeAlias

from engine.memory.book import Book, person_key
from engine.people.attributes import Attribute
from engine.people.values import Date, date_of, number_of
from engine.records import Fact, Memory

_LIFE, _YOUNGEST_PARENT, _OLDEST_PARENT = 120, 12, 80
"""Years."""
_BIRTH, _DEATH = ("birth_year", "birth_date"), ("death_year",)
_BIRTHS = (*_BIRTH, "birthday")


def year_in(value: str) -> int | None:
    """The year that a value is or holds."""
    if isinstance(found := date_of(value), Date):
        return found.year
    number = number_of(value)
    return int(number) if number is not None else None


_Reason: TypeAlias = tuple[str, Memory | None]
"""Why a fact cannot be true beside what is held, as a sentence, and what is held; empty where it can."""
_FINE: _Reason = ("", None)


def unreal_beside(fact: Fact, attributes: Mapping[str, Attribute], book: Book) -> _Reason:
    """What is held of the same person, or of relatives, with which a fact cannot be true."""
    for check in (_outside_life, _two_births, _family):
        if (found := check(fact, attributes, book)) != _FINE:
            return found
    return _FINE


def _outside_life(fact: Fact, attributes: Mapping[str, Attribute], book: Book) -> _Reason:
    """Nothing happens to a person before birth, after death, or later than a life lasts."""
    if (year := _event(fact, attributes)) is None:
        return _FINE
    for memory in book.about(fact.subject):
        other = _event(memory.fact, attributes)
        if other is None or memory.fact.attribute == fact.attribute:
            continue
        early, late = sorted(
            [(year, fact.attribute), (other, memory.fact.attribute)],
            key=lambda each: (each[1] not in _BIRTH, each[1] in _DEATH),
        )
        is_bound = early[1] in _BIRTH or late[1] in _DEATH
        if is_bound and not 0 <= late[0] - early[0] <= _LIFE:
            what, held = (attributes[each].title for each in (fact.attribute, memory.fact.attribute))
            return f"The {what} cannot be {year} where the {held} is {other}, {since(memory)}.", memory
    return _FINE


def _event(fact: Fact, attributes: Mapping[str, Attribute]) -> int | None:
    """The year of something that happened to a person."""
    attribute = attributes.get(fact.attribute)
    return year_in(fact.value) if attribute and attribute.kind in ("year", "date") else None


def _two_births(fact: Fact, attributes: Mapping[str, Attribute], book: Book) -> _Reason:
    """Year, date and day of birth are of one birth."""
    for key in (each for each in _BIRTHS if each != fact.attribute and fact.attribute in _BIRTHS):
        memory = book.find(fact.subject, key)
        if memory is None:
            continue
        ones, others = _parts(fact.value), _parts(memory.fact.value)
        if any(one and other and one != other for one, other in zip(ones, others, strict=True)):
            held = f"{attributes[key].title} is {memory.fact.value}, {since(memory)}"
            return f"The {attributes[fact.attribute].title} cannot be {fact.value} where the {held}.", memory
    return _FINE


def _parts(value: str) -> tuple[int | None, int | None, int | None]:
    """Day, month and year of what may be a date or a year."""
    if found := date_of(value):
        return found.day, found.month, found.year
    return None, None, year_in(value)


def _family(fact: Fact, attributes: Mapping[str, Attribute], book: Book) -> _Reason:
    """Nobody is a child and a spouse, a child of their own child, or older than a parent."""
    child = book.find(fact.value, "child") if fact.attribute == "child" else None
    if child and person_key(child.fact.value) == person_key(fact.subject):
        return f"{fact.subject} is the child of {fact.value}, {since(child)}.", child
    if other := {"spouse": "child", "child": "spouse"}.get(fact.attribute):
        memory = book.find(fact.subject, other)
        if memory and person_key(memory.fact.value) == person_key(fact.value):
            return f"{fact.value} is the {other} of {fact.subject}, {since(memory)}.", memory
    return _older_than_parent(fact, book)


def _older_than_parent(fact: Fact, book: Book) -> _Reason:
    parents = book.relating("child", fact.subject)
    if fact.attribute == "child":
        pairs = [(_birth(fact.subject, book), _birth(fact.value, book), book.find(fact.value, "birth_year"))]
    elif fact.attribute in _BIRTH:
        own, child = year_in(fact.value), book.find(fact.subject, "child")
        pairs = [(_birth(memory.fact.subject, book), own, memory) for memory in parents]
        pairs += [(own, _birth(child.fact.value, book), child)] if child else []
    else:
        return _FINE
    for parent, young, held in pairs:
        if parent and young and not _YOUNGEST_PARENT <= young - parent <= _OLDEST_PARENT:
            return f"A parent born in {parent} cannot have a child born in {young}.", held
    return _FINE


def _birth(person: str, book: Book) -> int | None:
    years = (year_in(memory.fact.value) for key in _BIRTH if (memory := book.find(person, key)))
    return next(years, None)


def rival(fact: Fact, book: Book) -> Memory | None:
    """A memory of someone else that contradicts a fact: two people are each other's only spouse."""
    if fact.attribute != "spouse":
        return None
    couple = {person_key(fact.subject), person_key(fact.value)}
    turned = book.find(fact.value, "spouse")
    beside = [*book.relating("spouse", fact.subject), *book.relating("spouse", fact.value)]
    for memory in [turned, *beside] if turned else beside:
        if {person_key(memory.fact.subject), person_key(memory.fact.value)} != couple:
            return memory
    return None


def since(memory: Memory) -> str:
    """From when a memory is held, for a reason."""
    return f"held since day {memory.day}"
