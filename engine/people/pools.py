"""Names and values of invented people: lists that go on without end.

First names and plain words are common ones, so that a small model writes them in few tokens (`pools.yaml`);
what is put together of them, towns, companies and surnames with first names, is invented.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import yaml

from engine.people.values import MONTH_LENGTHS, Date

_WORDS: Mapping[str, str] = yaml.safe_load((Path(__file__).parent / "pools.yaml").read_text(encoding="utf-8"))
WOMEN, MEN = (tuple(_WORDS[key].split()) for key in ("women", "men"))
FIRST_NAMES = (*WOMEN, *MEN)
_STARTS = {key: tuple(_WORDS[f"{key}_starts"].split()) for key in ("surname", "town", "firm")}
_ENDS = {key: tuple(_WORDS[f"{key}_ends"].split()) for key in ("surname", "town", "firm")}
_BEFORE = {key: tuple(_WORDS[f"{key}_before"].split()) for key in ("town", "pet")}
_PETS = tuple(_WORDS["pets"].split())
BIRTHDAYS = tuple(
    str(Date(day, month)) for month, length in enumerate(MONTH_LENGTHS, 1) for day in range(1, length + 1)
)
SHARED: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        **{
            key: tuple(value.strip() for value in _WORDS[key].split(","))
            for key in ("job", "instrument", "hobby", "favourite_food")
        },
        "house_number": tuple(str(number) for number in range(11, 1000)),
        "birthday": BIRTHDAYS,
    }
)
"""Values that several people can have, by attribute."""


def surname(place: int) -> str:
    """A surname for each number, all different."""
    start, end, before = _parts(place, "surname")
    # Further syllables go between the two, so that the name keeps its one capital.
    return start + "".join(_digits(before, _ENDS["surname"])) + end


def town(place: int) -> str:
    """A place for each number, all different."""
    start, end, before = _parts(place, "town")
    return " ".join([*_digits(before, _BEFORE["town"]), start + end])


def firm(place: int) -> str:
    """A company for each number, all different."""
    start, end, before = _parts(place, "firm")
    return " ".join([*_digits(before, _STARTS["firm"]), start, end])


def pet(place: int) -> str:
    """A dog's name for each number, all different."""
    before, inside = divmod(place, len(_PETS))
    return " ".join([*_digits(before, _BEFORE["pet"]), _PETS[inside]])


def _parts(place: int, what: str) -> tuple[str, str, int]:
    """A start and an end by number, and how often all pairs of them were used up before."""
    starts, ends = _STARTS[what], _ENDS[what]
    before, inside = divmod(place, len(starts) * len(ends))
    return starts[inside % len(starts)], ends[inside // len(starts)], before


def _digits(number: int, of: Sequence[str]) -> list[str]:
    """A number in the bijective numeral system whose digits are words: 0 has none."""
    digits: list[str] = []
    while number > 0:
        number, digit = divmod(number - 1, len(of))
        digits.append(of[digit])
    return digits


NAMED: Mapping[str, tuple[int, Callable[[int], str]]] = MappingProxyType(
    {
        **{
            key: (len(_STARTS[key]) * len(_ENDS[key]), name)
            for key, name in (("surname", surname), ("town", town), ("firm", firm))
        },
        "pet": (len(_PETS), pet),
    }
)
"""What has names by number: how many plain ones there are, and the name of a number."""
