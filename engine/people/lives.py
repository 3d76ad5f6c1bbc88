"""Lives of invented people, one day's people at a time: what is true of each of them, told or not.

The lives of a day agree with each other: nobody moves before birth, children are younger than their parents,
marriages are mutual. On one day no two people have the same value of an attribute, and names, places,
companies and dogs have names of their own for ever.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Literal

from engine.people import pools

PRESENT = 2024
"""The year in which the people of a world live."""
_NOBODY = 100_000
"""Strangers from this number on are named where a relation is told wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody, with everything that is true of them."""

    name: str
    pronoun: Literal["she", "he"]
    life: Mapping[str, str]
    """The value of each attribute that the person has."""


class Names:
    """Names of the people of a world by number, and of strangers, all different."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def person(self, number: int) -> str:
        """The name of one of the world's people, numbered from 0 over all days."""
        return self._name(_interleaved(number, 0))

    def stranger(self, number: int) -> str:
        """The name of somebody who is none of them."""
        return self._name(_interleaved(number, 1))

    def pronoun(self, number: int) -> Literal["she", "he"]:
        """What stands for the person of this number."""
        return "she" if self.person(number).split()[0] in pools.WOMEN else "he"

    def value(self, what: str, number: int) -> str:
        """The name of a town, firm or pet by number."""
        size, name = pools.NAMED[what]
        return name(scattered(number, size, f"{self._seed}/{what}"))

    def _name(self, number: int) -> str:
        """First name and surname by number: neighbours share neither, and every pair of them comes once.

        The pair is found by the Chinese remainder theorem, shifted where its cycle is over; when all pairs
        are used up, surnames become longer.
        """
        firsts, surnames = len(pools.FIRST_NAMES), pools.NAMED["surname"][0]
        cycle = math.lcm(firsts, surnames)
        block, inside = divmod(number, firsts * surnames)
        first = scattered((inside + inside // cycle) % firsts, firsts, f"{self._seed}/first")
        surname = self.value("surname", inside % surnames + block * surnames)
        return f"{pools.FIRST_NAMES[first]} {surname}"


def _interleaved(number: int, which: int) -> int:
    """Two sequences of numbers in one, in runs in which every first name occurs."""
    run, inside = divmod(number, len(pools.FIRST_NAMES))
    return (2 * run + which) * len(pools.FIRST_NAMES) + inside


def scattered(number: int, size: int, key: str) -> int:
    """A number for each number, all different: neighbours fall far apart within each `size` of them."""
    offset, stride = _steps(size, key)
    block, inside = divmod(number, size)
    return block * size + (offset + inside * stride) % size


@lru_cache(maxsize=64)
def _steps(size: int, key: str) -> tuple[int, int]:
    rng = Random(key)
    strides = [stride for stride in range(size // 5 + 1, size) if math.gcd(stride, size) == 1] or [1]
    return rng.randrange(size), rng.choice(strides)


def people_of(day: int, num: int, names: Names, rng: Random) -> tuple[Person, ...]:
    """The `num` people of a day, with their lives."""
    first = (day - 1) * num
    births = _births(num, rng)
    years = {
        "birth_year": births,
        "moved_year": _later(births, 5, rng),
        "award_year": _later(births, 18, rng),
    }
    shared = {key: rng.sample(pool, min(num, len(pool))) for key, pool in pools.SHARED.items()}
    people = []
    for place in range(num):
        number = first + place
        life = {key: str(values[place]) for key, values in years.items() if values[place]}
        life |= {key: values[place] for key, values in shared.items() if place < len(values)}
        life |= {
            "home": names.value("town", 3 * number),
            "birth_place": names.value("town", 3 * number + 1),
            "employer": names.value("firm", 2 * number),
            "pet_name": names.value("pet", 2 * number),
        }
        life |= {key: names.person(first + other) for key, other in _related(place, num).items()}
        if day > 1 and place >= num // 2:
            # One of the older half of the day before.
            life["teacher"] = names.person(first - num + place - num // 2)
        people.append(Person(name=names.person(number), pronoun=names.pronoun(number), life=life))
    return tuple(people)


def never_true(key: str, number: int, names: Names) -> str:
    """A value of an attribute that names something, which nobody has."""
    match key:
        case "home" | "birth_place":
            return names.value("town", 3 * number + 2)
        case "employer":
            return names.value("firm", 2 * number + 1)
        case "pet_name":
            return names.value("pet", 2 * number + 1)
    return names.stranger(_NOBODY + number)


def _related(place: int, num: int) -> dict[str, int]:
    """Who of the same day is what to the person at a place; nobody is the same to two people.

    The first half are couples, and the second half are children, of one couple each, who marry each other.
    """
    related: dict[str, int] = {}
    if (spouse := place ^ 1) < num:
        related["spouse"] = spouse
    half = num // 2
    for key, other in (("child", _child(place, half)), ("friend", (place + half + 1) % num)):
        if other not in (-1, place, *related.values()):
            related[key] = other
    return related


def _child(place: int, half: int) -> int:
    """The place of the only child of a couple, of which the first one tells; -1 where there is none."""
    return half + place // 2 if place < half and place % 2 == 0 else -1


def _births(num: int, rng: Random) -> list[int]:
    """Years of birth, different ones while there are any: the second half are children of the first."""
    half = num // 2
    births = _different(half, 1930, 1965, rng)
    parents = {_child(place, half): year for place, year in enumerate(births)}
    for place in range(half, num):
        parent = parents.get(place, 1940)
        grown = range(parent + 19, parent + 34)
        births.append(rng.choice([year for year in grown if year not in births] or list(grown)))
    return births


def _different(num: int, low: int, high: int, rng: Random) -> list[int]:
    years = list(range(low, high + 1))
    return [year for _ in range(-(-num // len(years))) for year in rng.sample(years, len(years))][:num]


def _later(births: Sequence[int], age: int, rng: Random) -> list[int]:
    """A year for each person after a certain age, all different; 0 where none is left."""
    years: list[int] = []
    for born in births:
        free = [year for year in range(born + age, PRESENT) if year not in years]
        years.append(rng.choice(free) if free else 0)
    return years
