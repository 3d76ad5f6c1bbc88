"""Wrong values that look like right ones, for false premises."""

from collections.abc import Iterable
from random import Random

from engine.people import pools
from engine.people.attributes import Attribute
from engine.people.values import date_of, number_of, same, words
from engine.records import Fact

_LATEST = 2024
_NEAR = 25
"""Years between a right year and a wrong one, at the most."""


def other_value(fact: Fact, attribute: Attribute, rng: Random, others: Iterable[str] = ()) -> str:
    """A value that the attribute does not have: one of `others`, the values of other people, if there is one.

    It shares no word with the right one, so that the one is never found inside the other.
    """
    known = list(dict.fromkeys(others))
    for value in rng.sample(known, len(known)):
        if _apart(value, fact.value):
            return value
    while True:
        value = invented(attribute, rng, like=fact.value)
        if _apart(value, fact.value):
            return value


def _apart(one: str, other: str) -> bool:
    return not same(one, other) and not set(words(one)) & set(words(other)) - set(".,")


def invented(attribute: Attribute, rng: Random, *, like: str = "") -> str:
    """A value of an attribute, made up; where `like` is a value, it is written as that is."""
    number = number_of(like)
    match attribute.kind:
        case "date":
            date = date_of(like)
            year = f" {(date.year or 0) + rng.randint(-9, 9)}" if date and date.year else ""
            if not date and attribute.low:
                year = f" {rng.randint(1930, 2000)}"
            return f"{rng.choice(pools.BIRTHDAYS)}{year}"
        case "year":
            return str(_number(int(number or rng.randint(1935, 2000)), attribute, rng))
        case "number":
            return str(_number(int(number or rng.randint(20, 900)), attribute, rng))
        case "place":
            return pools.town(rng.randrange(1000))
        case "name" if attribute.key == "pet_name":
            return pools.pet(rng.randrange(80))
        case "name":
            return f"{rng.choice(pools.FIRST_NAMES)} {pools.surname(rng.randrange(1000))}"
        case "work" if like[:1].isupper() or (not like and attribute.key == "employer"):
            return pools.firm(rng.randrange(1000))
        case "work":
            return rng.choice(pools.SHARED["job"])
    return rng.choice(pools.SHARED.get(attribute.key, pools.SHARED["hobby"]))


def _number(number: int, attribute: Attribute, rng: Random) -> int:
    """Another number or year, within what is plausible."""
    far = _NEAR if attribute.kind == "year" else max(_NEAR, number)
    low = max(number - far, attribute.low or 0)
    high = min(number + far, attribute.high or number + far, *([_LATEST] if attribute.kind == "year" else []))
    top = max(high, low + 1)
    is_within = low <= number <= top
    other = low + rng.randrange(top - low + 1 - is_within)
    return other + (is_within and other >= number)
