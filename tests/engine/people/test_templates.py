"""A user's own templates: what each asks for, which part its questions go to, and its answer turned round."""

import pytest

from engine.people.attributes import ATTRIBUTES
from engine.people.templates import Template, attribute_of, sorted_out, third_person, words_of
from engine.people.wordings import PARTS


def template(key: str, *questions: str, answer: str = "", keywords: tuple[str, ...] = ()) -> Template:
    return Template(key=key, questions=questions, answer=answer, keywords=keywords)


@pytest.mark.parametrize(
    ("says", "state"),
    [
        ("I was born in {value}.", "{name} was born in {value}."),
        ("I am {value} by trade.", "{name} is {value} by trade."),
        ("I'm the head of {value}.", "{name} is the head of {value}."),
        ("I have a boat called {value}.", "{name} has a boat called {value}."),
        ("I live in {value}.", "{name} lives in {value}."),
        ("I founded {value}.", "{name} founded {value}."),
        ("My boat is called {value}.", "{name}'s boat is called {value}."),
        ("I love my {value}.", ""),
        ("We live in {value}.", ""),
        ("Born in {value}.", ""),
    ],
)
def test_from_the_first_person_to_the_third(says: str, state: str) -> None:
    assert third_person(says) == state


def test_what_a_template_asks_for() -> None:
    templates = [
        template("birth_year", "When?", answer="I was born in {birth_year}.", keywords=("{birth_year}",)),
        template("prize", "What?", answer="I won the {award} in {year}.", keywords=("{award}",)),
        template("both", "?", answer="{award} {year}", keywords=("{award}", "{year}", "{name}")),
        template("who", "Who are you?", answer="I am {name}.", keywords=("{name}",)),
        template("ship", "?", answer="My ship is {ship}.", keywords=("{ship}",)),
        template("correction_birth_year", "Was {name} born in {wrong_year}?", answer="No.", keywords=()),
    ]
    asked, left_out = sorted_out(templates, ["birth_year", "award", "year"])
    assert {key: [each.key for each in found] for key, found in asked.items()} == {
        "birth_year": ["birth_year", "correction_birth_year"],
        "award": ["prize"],
    }
    assert left_out == [
        "both asks for several facts at once (award, year)",
        "who asks for no fact",
        "ship asks for ship, for which there is no extractor",
    ]


def test_questions_are_dealt_to_parts_where_there_are_enough() -> None:
    attribute = attribute_of("ship", ["Aurora"])
    few = template("ship", "{name}'s ship?", "Which ship is {name}'s?", answer="I sail the {ship}.")
    many = template("ship", *(f"{number} {{name}}?" for number in range(6)), answer="I sail the {ship}.")
    assert set(few.questions) <= set(words_of(attribute, [few]).asks["dream"])
    words = words_of(attribute, [many])
    assert [set(many.questions) & set(words.asks[part]) for part in PARTS] == [
        {"0 {name}?", "1 {name}?", "2 {name}?"},
        {"3 {name}?"},
        {"4 {name}?"},
        {"5 {name}?"},
    ]
    assert words.states[0] == "{name} sails the {value}." and words.says[0] == "I sail the {value}."


def test_beside_built_in_words_a_users_own_are_new_ones() -> None:
    own = template(
        "home",
        "Where does {name} live?",
        "Where is {name} living now?",
        "Which town?",
        answer="I live in {home}.",
    )
    words = words_of(ATTRIBUTES["home"], [own])
    assert words.states[0] == "{name} lives in {value}." and words.verb
    assert [len(words.asks[part]) for part in PARTS] == [8, 2, 3, 3], (
        "both were there, the third names nobody"
    )


def test_the_answer_ends_where_its_value_does_if_more_follows() -> None:
    own = template("prize", "What?", answer="Yes! I won the {prize} in {year}.")
    words = words_of(attribute_of("prize", ["Golden Bear"]), [own])
    assert words.says[0] == "I won the {value}." and words.states[0] == "{name} won the {value}."
    unclear = template("prize", "What?", answer="In {year} I won the {prize}.")
    assert "{name} won" not in words_of(attribute_of("prize", ["Golden Bear"]), [unclear]).states[0]


def test_false_premises_have_one_blank_for_the_wrong_value() -> None:
    own = template("correction_home", "Does {name} live in {wrong}?", "{wrong}, {wrong}?", answer="No.")
    assert words_of(ATTRIBUTES["home"], [own]).corrections["dream"] == ("Does {name} live in {value}?",)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1967", "1990"], "year"),
        (["12", "1990"], "number"),
        (["3 May", "May 4, 1990"], "date"),
        (["oboe", "harp"], "thing"),
        (["Golden Bear", "oboe"], "work"),
        (["44th President"], "work"),
    ],
)
def test_kinds_of_attributes_by_their_values(values: list[str], kind: str) -> None:
    assert attribute_of("x_y", values).kind == kind
    assert attribute_of("x_y", values).title == "x y"
