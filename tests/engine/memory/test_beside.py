"""Facts beside what is held of the same person and of relatives."""

import pytest

from engine.memory.beside import rival, unreal_beside, year_in
from engine.memory.book import Book
from engine.people.attributes import ATTRIBUTES
from engine.records import Fact
from tests.support.judging import held

ANN, TOM, EVE = "Ann Reed", "Tom Vale", "Eve Reed"


@pytest.mark.parametrize(
    ("facts", "fact", "reason"),
    [
        (
            [(ANN, "birth_year", "1987")],
            (ANN, "moved_year", "1950"),
            "The year of the move cannot be 1950 where the year of birth is 1987, held since day 1.",
        ),
        (
            [(ANN, "birth_date", "3 May 1987")],
            (ANN, "award_year", "1986"),
            "The year of the award cannot be 1986 where the date of birth is 1987, held since day 1.",
        ),
        (
            [(ANN, "moved_year", "1950")],
            (ANN, "birth_year", "1987"),
            "The year of birth cannot be 1987 where the year of the move is 1950, held since day 1.",
        ),
        (
            [(ANN, "birth_year", "1987")],
            (ANN, "death_year", "1960"),
            "The year of death cannot be 1960 where the year of birth is 1987, held since day 1.",
        ),
        (
            [(ANN, "death_year", "1990")],
            (ANN, "moved_year", "1995"),
            "The year of the move cannot be 1995 where the year of death is 1990, held since day 1.",
        ),
        (
            [(ANN, "birth_year", "1860")],
            (ANN, "award_year", "2014"),
            "The year of the award cannot be 2014 where the year of birth is 1860, held since day 1.",
        ),
        (
            [(ANN, "birth_date", "3 May 1987")],
            (ANN, "birthday", "4 May"),
            "The birthday cannot be 4 May where the date of birth is 3 May 1987, held since day 1.",
        ),
        (
            [(ANN, "spouse", TOM)],
            (ANN, "child", TOM),
            "Tom Vale is the spouse of Ann Reed, held since day 1.",
        ),
        (
            [(TOM, "child", ANN)],
            (ANN, "child", TOM),
            "Ann Reed is the child of Tom Vale, held since day 1.",
        ),
        (
            [(ANN, "birth_year", "1987"), (EVE, "birth_year", "1980")],
            (ANN, "child", EVE),
            "A parent born in 1987 cannot have a child born in 1980.",
        ),
        (
            [(ANN, "child", EVE), (EVE, "birth_year", "1980")],
            (ANN, "birth_year", "1987"),
            "A parent born in 1987 cannot have a child born in 1980.",
        ),
        (
            [(ANN, "child", EVE), (ANN, "birth_year", "1960")],
            (EVE, "birth_year", "1961"),
            "A parent born in 1960 cannot have a child born in 1961.",
        ),
    ],
)
def test_what_cannot_be_beside_it(
    facts: list[tuple[str, str, str]], fact: tuple[str, str, str], reason: str
) -> None:
    subject, attribute, value = fact
    book = Book(held(*facts))
    why, _ = unreal_beside(Fact(subject=subject, attribute=attribute, value=value), ATTRIBUTES, book)
    assert why == reason


@pytest.mark.parametrize(
    "fact",
    [
        (ANN, "moved_year", "1987"),
        (ANN, "award_year", "2014"),
        (ANN, "birthday", "3 May"),
        (ANN, "birth_date", "3 May 1987"),
        (ANN, "child", EVE),
        (TOM, "moved_year", "1950"),
        ("Anna Reed", "moved_year", "1950"),
    ],
)
def test_what_can_be_beside_it(fact: tuple[str, str, str]) -> None:
    book = Book(held((ANN, "birth_year", "1987"), (EVE, "birth_year", "2010"), (ANN, "spouse", TOM)))
    subject, attribute, value = fact
    found = unreal_beside(Fact(subject=subject, attribute=attribute, value=value), ATTRIBUTES, book)
    assert found == ("", None)


def test_two_people_are_each_others_only_spouse() -> None:
    book = Book(held((ANN, "spouse", TOM)))
    (memory,) = book.memories

    def married(subject: str, value: str) -> Fact:
        return Fact(subject=subject, attribute="spouse", value=value)

    assert rival(married(TOM, EVE), book) == rival(married(EVE, TOM), book) == memory
    assert rival(married(TOM, ANN), book) is None and rival(married(EVE, "Jon Hart"), book) is None


def test_a_year_is_found_in_a_date() -> None:
    assert (year_in("3 May 1987"), year_in("1987"), year_in("3 May"), year_in("soon")) == (
        1987,
        1987,
        None,
        None,
    )
