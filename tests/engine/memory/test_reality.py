"""Values that can be real, and values that are one."""

import pytest

from engine.memory.reality import agree, are_one, as_written, impossible
from engine.people.attributes import ATTRIBUTES
from engine.records import Fact


def written(attribute: str, value: str) -> str:
    return as_written(Fact(subject="Ann Reed", attribute=attribute, value=value), ATTRIBUTES[attribute])


@pytest.mark.parametrize(
    ("attribute", "value", "held"),
    [
        ("birth_year", "nineteen eighty-seven", "1987"),
        ("birth_year", "3 May 1987", "1987"),
        ("birth_date", "May 3rd, 1987", "3 May 1987"),
        ("house_number", "forty-two", "42"),
        ("home", " Port  Lenn. ", "Port Lenn"),
        ("job", "baker", "baker"),
    ],
)
def test_values_are_held_in_one_form(attribute: str, value: str, held: str) -> None:
    assert written(attribute, value) == held


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("birth_year", "1987"),
        ("birth_date", "29 February 1988"),
        ("birthday", "29 February"),
        ("spouse", "Maria de la Cruz"),
        ("spouse", "O'Brien"),
        ("home", "The Hague"),
        ("home", "Moonbank"),
        ("home", "New Moon Bay"),
        ("home", "Newcastle upon Tyne"),
        ("job", "the 44th President of the United States"),
        ("job", "Second Secretary of the Ministry of the Interior of the Netherlands"),
        ("pet_name", "Captain Biscuit"),
        ("job", "night porter"),
        ("employer", "the Fenwick Observatory"),
        ("employer", "North Wind Ltd"),
        ("favourite_food", "leek soup"),
        ("instrument", "triangle"),
    ],
)
def test_what_can_be_is_let_pass(attribute: str, value: str) -> None:
    assert impossible(value, ATTRIBUTES[attribute], "Ann Reed") == ""


@pytest.mark.parametrize(
    ("attribute", "value", "reason"),
    [
        ("birth_year", "2891", "The year of birth cannot be 2891: it lies from 1850 to 2020."),
        ("birth_year", "the dragon", "The year of birth is a year, and 'the dragon' is none."),
        ("house_number", "minus seven", "The house number is a number, and 'minus seven' is none."),
        ("birth_date", "soon", "The date of birth is a date, and 'soon' is none."),
        ("birth_date", "31 February 1980", "The date of birth is a date, and '31 February 1980' is none."),
        ("birth_date", "3 May 1700", "The date of birth cannot be in 1700: it lies from 1850 to 2020."),
        ("spouse", "a lamp", "The spouse is a name with capitals, and 'a lamp' is a thing."),
        ("spouse", "Ann Reed", "Nobody is their own spouse."),
        ("teacher", "9", "The teacher is a name, and '9' is none."),
        ("home", "a teapot", "The home is a place with capitals, and 'a teapot' is a thing."),
        ("home", "the Moon", "Nobody's home is the Moon."),
        ("job", "17", "A number is no job: it says 17."),
        ("job", "a full moon", "Nobody's job is a full moon."),
        ("favourite_food", "wet concrete", "Nobody's favourite food is wet concrete."),
        ("employer", "the North Wind", "Nobody's employer is the North Wind."),
        ("hobby", "one two three and then a long tale", "The hobby is a few words, not a whole sentence."),
    ],
)
def test_what_cannot_be_has_a_reason(attribute: str, value: str, reason: str) -> None:
    assert impossible(value, ATTRIBUTES[attribute], "Ann Reed") == reason


@pytest.mark.parametrize(
    ("attribute", "value", "held", "one"),
    [
        ("home", "port lenn", "Port Lenn", True),
        ("home", "Honolulu", "Honolulu, Hawaii", True),
        ("home", "Oslo, Norway", "Oslo, Minnesota", False),
        ("birth_date", "3 May", "3 May 1987", True),
        ("birth_date", "3 May 1988", "3 May 1987", False),
        ("spouse", "Tom", "Tom Vale", True),
        ("spouse", "Tim Vale", "Tom Vale", False),
        ("pet_name", "Captain", "Captain Biscuit", False),
        ("job", "baker", "head baker", False),
    ],
)
def test_less_detail_is_no_contradiction(attribute: str, value: str, held: str, one: bool) -> None:
    assert agree(value, held, ATTRIBUTES[attribute]) is one


def test_names_that_differ_in_accents_look_like_one() -> None:
    assert are_one("José Lima", "jose  LIMA") and not are_one("Ann Reed", "Anna Reed")
