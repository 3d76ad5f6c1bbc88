"""What can be known about a person: each attribute with the kind of its values and what is plausible."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

ValueKind = Literal["year", "date", "number", "name", "place", "work", "thing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """Something that has one value for each person."""

    key: str
    title: str
    """For people, and in questions that were not written for it: ``year of birth``."""
    kind: ValueKind
    """``name`` is a person's or an animal's, ``work`` an occupation or a company, ``thing`` anything else."""
    low: int | None = None
    """Smallest value of a year or number."""
    high: int | None = None
    """Largest value of a year or number."""
    importance: int = 5
    """How much it says about a person, from 1 to 10."""
    aliases: tuple[str, ...] = ()
    """Other names of it."""
    relation: bool = False
    """Whether its value is another person, so that questions can be chained over it."""


_ALL = (
    Attribute(
        key="birth_year",
        title="year of birth",
        kind="year",
        low=1850,
        high=2020,
        importance=8,
        aliases=("born in year", "birth year", "year born"),
    ),
    Attribute(
        key="birth_date",
        title="date of birth",
        kind="date",
        low=1850,
        high=2020,
        importance=8,
        aliases=("born on", "birth date"),
    ),
    Attribute(
        key="birthday",
        title="birthday",
        kind="date",
        importance=6,
        aliases=("day of birth", "birthday party"),
    ),
    Attribute(
        key="birth_place",
        title="place of birth",
        kind="place",
        importance=7,
        aliases=("birthplace", "home town", "hometown", "born in place"),
    ),
    Attribute(
        key="death_year",
        title="year of death",
        kind="year",
        low=1850,
        high=2100,
        importance=9,
        aliases=("death", "died", "passed away"),
    ),
    Attribute(
        key="home",
        title="home",
        kind="place",
        importance=7,
        aliases=("residence", "address", "lives in", "town"),
    ),
    Attribute(
        key="job",
        title="job",
        kind="work",
        importance=7,
        aliases=("work", "occupation", "profession", "trade"),
    ),
    Attribute(
        key="employer",
        title="employer",
        kind="work",
        importance=6,
        aliases=("company", "workplace", "works for"),
    ),
    Attribute(
        key="spouse",
        title="spouse",
        kind="name",
        importance=9,
        aliases=("husband", "wife", "married to", "partner"),
        relation=True,
    ),
    Attribute(
        key="child",
        title="child",
        kind="name",
        importance=9,
        aliases=("son", "daughter", "only child"),
        relation=True,
    ),
    Attribute(
        key="friend",
        title="best friend",
        kind="name",
        importance=6,
        aliases=("friend", "closest friend"),
        relation=True,
    ),
    Attribute(
        key="teacher",
        title="teacher",
        kind="name",
        importance=5,
        aliases=("mentor", "taught by"),
        relation=True,
    ),
    Attribute(
        key="pet_name",
        title="name of the dog",
        kind="name",
        importance=4,
        aliases=("pet", "dog", "name of the pet"),
    ),
    Attribute(
        key="instrument",
        title="instrument",
        kind="thing",
        importance=4,
        aliases=("musical instrument", "plays"),
    ),
    Attribute(
        key="hobby",
        title="hobby",
        kind="thing",
        importance=4,
        aliases=("pastime", "leisure", "interest"),
    ),
    Attribute(
        key="favourite_food",
        title="favourite food",
        kind="thing",
        importance=3,
        aliases=("favorite food", "favourite dish", "food"),
    ),
    Attribute(
        key="house_number",
        title="house number",
        kind="number",
        low=1,
        high=9999,
        importance=3,
        aliases=("number of the house", "door number"),
    ),
    Attribute(
        key="moved_year",
        title="year of the move",
        kind="year",
        low=1850,
        high=2100,
        importance=5,
        aliases=("moved", "year moved", "moving year"),
    ),
    Attribute(
        key="award_year",
        title="year of the award",
        kind="year",
        low=1850,
        high=2100,
        importance=6,
        aliases=("award", "prize", "year of the prize"),
    ),
)
ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType({each.key: each for each in _ALL})
"""Those that are built in, by their keys."""


def named(name: str, attributes: Mapping[str, Attribute] = ATTRIBUTES) -> str:
    """The key of the attribute that a name means: a key, a title or an alias; empty where it is none."""
    plain = _plain(name)
    for key, attribute in attributes.items():
        if plain in map(_plain, (key, attribute.title, *attribute.aliases)):
            return key
    return ""


def _plain(name: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", name.casefold()))
