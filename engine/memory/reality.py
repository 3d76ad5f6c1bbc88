"""Whether a value can be real, by its type and range, and when two values are one.

A year of birth is a year, and nobody is married to a lamp.
"""

import re

from engine.memory.talk import says
from engine.people.attributes import Attribute
from engine.people.values import date_of, number_of, plain, same
from engine.records import Fact

_MOST_WORDS = 6
"""Words of a value beside its particles."""
_PARTICLES = frozenset("al bin da de del der di du el la le of on the upon van von y zu and".split())  # noqa: SIM905
_NO_THING = ("job", "employer", "favourite_food", "instrument")
_ARTICLE = re.compile(r"(a|an|the|my|some|his|her|our|one)\s", re.IGNORECASE)
_NOWHERE = frozenset(
    "moon sun mars venus jupiter saturn pluto heaven hell atlantis narnia mordor space nowhere cloud".split()  # noqa: SIM905
)
"""Names of places in which nobody lives or is born."""


def as_written(fact: Fact, attribute: Attribute) -> str:
    """The value in the form in which it is held: years and numbers in figures, dates as ``3 May 1987``."""
    value = " ".join(fact.value.split()).strip(' .,;:!?"“”')
    found, number = date_of(value), number_of(value)
    if attribute.kind == "date" and found:
        return str(found)
    if attribute.kind == "year" and found and found.year:
        return str(found.year)
    if attribute.kind in ("year", "number") and number is not None:
        return str(number)
    return value


def impossible(value: str, attribute: Attribute, subject: str) -> str:
    """Why a value cannot be real, as a sentence; empty where it can."""
    match attribute.kind:
        case "year" | "number":
            return _wrong_number(value, attribute)
        case "date":
            return _wrong_date(value, attribute)
        case "name" | "place":
            return _wrong_name(value, attribute, subject)
    if number_of(value) is not None or date_of(value) is not None or not re.search(r"[^\W\d_]", value):
        return f"A number is no {attribute.title}: it says {value}."
    if sum(word.casefold() not in _PARTICLES for word in value.split()) > _MOST_WORDS:
        return f"The {attribute.title} is a few words, not a whole sentence."
    if _is_thing(value, attribute):
        return f"Nobody's {attribute.title} is {value}."
    return ""


def _is_thing(value: str, attribute: Attribute) -> bool:
    """Whether a value is a thing that cannot be one, in plain words, or with capitals after ``the``."""
    bare = re.sub(r"^(an?|the|some) ", "", value, flags=re.IGNORECASE)
    is_plain = bare == bare.casefold() or re.match("the ", value, re.IGNORECASE) is not None
    return attribute.key in _NO_THING and is_plain and says("things", bare.split()[-1])


def _wrong_number(value: str, attribute: Attribute) -> str:
    number, what = number_of(value), "year" if attribute.kind == "year" else "number"
    if number is None:
        return f"The {attribute.title} is a {what}, and '{value}' is none."
    low, high = attribute.low, attribute.high
    if (low is not None and number < low) or (high is not None and number > high):
        return f"The {attribute.title} cannot be {value}: it lies from {low} to {high}."
    if what == "year" and number != int(number):
        return f"The {attribute.title} is a whole year, and {value} is none."
    return ""


def _wrong_date(value: str, attribute: Attribute) -> str:
    found = date_of(value)
    if found is None:
        return f"The {attribute.title} is a date, and '{value}' is none."
    low, high = attribute.low, attribute.high
    if found.year and low is not None and high is not None and not low <= found.year <= high:
        return f"The {attribute.title} cannot be in {found.year}: it lies from {low} to {high}."
    return ""


def _wrong_name(value: str, attribute: Attribute, subject: str) -> str:
    words = re.findall(r"[^\W_][\w'’.-]*", value)
    what = "place" if attribute.kind == "place" else "name"
    named = [word for word in words if word.casefold() not in _PARTICLES]
    if not named or any(char.isdigit() for char in value) and what == "name":
        return f"The {attribute.title} is a {what}, and '{value}' is none."
    if not all(word[0].isupper() for word in named) or _ARTICLE.match(value) and what == "name":
        return f"The {attribute.title} is a {what} with capitals, and '{value}' is a thing."
    if what == "place" and {word.casefold() for word in named} <= _NOWHERE:
        return f"Nobody's {attribute.title} is {value}."
    if attribute.relation and are_one(value, subject):
        return f"Nobody is their own {attribute.title}."
    return ""


def are_one(name: str, other: str) -> bool:
    """Whether two full names are written alike, capitals and accents aside."""
    return plain(name).casefold().split() == plain(other).casefold().split()


def agree(value: str, held: str, attribute: Attribute) -> bool:
    """Whether two values are one, or one has less detail: ``Honolulu`` and ``Honolulu, Hawaii``."""
    if same(value, held):
        return True
    if attribute.kind == "date" and (one := date_of(value)) and (other := date_of(held)):
        return one.answers(other) or other.answers(one)
    if attribute.kind == "place":
        ones, others = ([part.strip() for part in each.split(",")] for each in (value, held))
        return same(ones[0], others[0]) and (len(ones) == 1 or len(others) == 1)
    if attribute.relation:
        ones, others = value.split(), held.split()
        return min(len(ones), len(others)) == 1 and same(ones[0], others[0])
    return False
