"""About whom a statement is, and in what form its value is held."""

import pytest

from engine.memory.book import Book
from engine.memory.case import case_of
from engine.people.attributes import ATTRIBUTES
from engine.records import Dialogue
from tests.support.judging import dialogue, held, statement


def whom(name: str, *known: str, talk: Dialogue | None = None, text: str = "") -> tuple[str, str]:
    """The person that a name means, and why that is unclear."""
    talk = talk or dialogue(f"U: {text or f'{name} lives in Oslo.'}", person="Ruben Asch")
    said = statement(talk, 0, name, "home", "Oslo")
    book = Book(held(*((each, "job", "baker") for each in known)))
    case = case_of(said, talk, ATTRIBUTES["home"], book)
    return case.fact.subject, case.unclear


def test_a_full_name_is_a_person_with_or_without_a_title() -> None:
    assert whom("Ann Reed") == whom("Dr. Ann Reed") == whom("Mrs Ann Reed") == ("Ann Reed", "")
    assert whom("ANN REED", "Ann Reed") == ("Ann Reed", "")


def test_a_like_name_is_somebody_else() -> None:
    assert whom("Anna Reed", "Ann Reed") == ("Anna Reed", "")
    assert whom("Ann Read", "Ann Reed") == ("Ann Read", "")


def test_an_accent_makes_it_unclear() -> None:
    assert whom("Jose Lima", "José Lima") == (
        "Jose Lima",
        "Jose Lima may be José Lima, whose name differs only in an accent, or somebody else.",
    )
    # Both are known: they are two.
    assert whom("Jose Lima", "José Lima", "Jose Lima") == ("Jose Lima", "")


def test_a_first_name_is_whoever_the_talk_names_in_full() -> None:
    talk = dialogue("U: Ann lives in Oslo.", "A: Ann Reed?", "U: Yes.", person="Ruben Asch")
    assert whom("Ann", "Ann Reed", talk=talk) == ("Ann Reed", "")
    assert whom("Ruben") == ("Ruben Asch", "")


def test_a_first_name_alone_is_unclear() -> None:
    assert whom("Ann", "Ann Reed") == (
        "Ann",
        "It is not clear who Ann is, and the talk names nobody in full.",
    )
    talk = dialogue("U: Ann lives in Oslo.", "A: Ann Reed or Ann Vale?", person="Ruben Asch")
    name, why = whom("Ann", "Ann Reed", "Ann Vale", talk=talk)
    assert (name, why) == ("Ann", "It is not clear who Ann is: it may be Ann Reed or Ann Vale.")


@pytest.mark.parametrize("name", ["she", "I", "Someone", "Mr."])
def test_nobody_is_named(name: str) -> None:
    assert whom(name)[1].startswith("It is not clear whom")


def test_a_namesake_of_somebody_who_is_known_is_unclear() -> None:
    text = "The other Ann Reed lives in Oslo."
    assert whom("Ann Reed", "Ann Reed", text=text)[1].startswith("It is about another Ann Reed")
    assert whom("Ann Reed", "Anna Reed", text=text) == ("Ann Reed", "")


def test_importance_is_of_the_attribute_and_the_form() -> None:
    plain = dialogue("U: I live in Oslo.", person="Ruben Asch")
    stressed = dialogue("U: I live in Oslo. Don't forget that.", person="Ruben Asch")
    (one, other) = (
        case_of(statement(talk, 0, "Ruben Asch", "home", "Oslo"), talk, ATTRIBUTES["home"], Book([]))
        for talk in (plain, stressed)
    )
    assert one.importance == ATTRIBUTES["home"].importance < other.importance <= 10


def test_what_may_change() -> None:
    talk = dialogue("U: I live in Oslo.", person="Ruben Asch")
    said = statement(talk, 0, "Ruben Asch", "home", "Oslo")
    cases = {key: case_of(said, talk, ATTRIBUTES[key], Book([])) for key in ATTRIBUTES}
    changing = {key for key, case in cases.items() if case.may_change}
    assert {"home", "job", "spouse", "pet_name"} <= changing
    assert not changing & {"birth_year", "birth_date", "birthday", "birth_place", "moved_year"}


def test_without_its_talk_a_statement_has_only_its_words() -> None:
    talk = dialogue("U: I live in Oslo.", person="Ruben Asch")
    said = statement(talk, 0, "Ruben Asch", "home", "Oslo")
    for other in (None, dialogue(id="d")):
        case = case_of(said, other, ATTRIBUTES["home"], Book([]))
        assert case.fact.subject == "Ruben Asch" and not case.talk.by_subject


def test_an_article_belongs_to_what_somebody_works_for() -> None:
    talk = dialogue("U: I work for the North Wind, and my dog is the King.", person="Ruben Asch")
    work = statement(talk, 0, "Ruben Asch", "employer", "North Wind")
    dog = statement(talk, 0, "Ruben Asch", "pet_name", "King")
    assert case_of(work, talk, ATTRIBUTES["employer"], Book([])).as_said == "the North Wind"
    assert case_of(dog, talk, ATTRIBUTES["pet_name"], Book([])).as_said == "King"
