"""A user's own templates: what each asks for, which part its questions go to, and its answer turned round."""

from dataclasses import replace

import pytest

from engine.people.attributes import ATTRIBUTES
from engine.people.templates import Template, attribute_of, reads_of, sorted_out, third_person, words_of
from engine.people.wordings import PARTS, Part, Wordings, Words, built_in_premises, built_in_words


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


def parts_of(words: Words, question: str) -> list[Part]:
    """The parts that ask a question, which may be one with a false premise."""
    asked = {
        part: [*words.asks[part], *words.corrections.get(part, ()), *built_in_premises(words.states, part)]
        for part in PARTS
    }
    plain = question.replace(",", "").lower()
    return [part for part, asks in asked.items() if plain in [ask.replace(",", "").lower() for ask in asks]]


def test_no_question_is_in_two_parts() -> None:
    shared, others = "Where is {name} at home?", [f"{number} {{name}}?" for number in range(9)]
    templates = [
        template("home", *others[:4], shared, answer="I live in {home}."),
        template("home", shared, *others[4:]),
        template("home", "Once more, {name}?", "once more {name}?", "Once more, {name}?"),
    ]
    words = words_of(ATTRIBUTES["home"], templates)
    for question in (shared, *others, "Once more, {name}?"):
        assert len(parts_of(words, question)) == 1, question
    assert parts_of(words, shared) == ["sealed"] and parts_of(words, "Once more, {name}?") == ["dream"]


def test_a_premise_that_is_built_in_stays_in_its_part() -> None:
    """A user's frames are often those that are there already, over a sentence of the user's own too."""
    own = template("ship", "Which ship?", answer="I sail the {ship}.")
    premises = template(
        "correction_ship",
        "{name} sails the {wrong_ship}, right?",
        "Am I right that {name} sails the {wrong_ship}?",
        "{name} sails the {wrong_ship}, correct?",
        "Isn't {name} on the {wrong_ship}?",
    )
    words = words_of(attribute_of("ship", ["Aurora"]), [premises, own])
    assert words.corrections["dream"] == ("Isn't {name} on the {value}?",)
    found = [parts_of(words, each.replace("wrong_ship", "value")) for each in premises.questions]
    assert found == [["dream"], ["sealed"], ["select"], ["dream"]]


def test_a_question_that_serves_any_attribute_is_built_in_with_its_name() -> None:
    for part in PARTS:
        general = built_in_words("harbour_pilot").asks[part][0].replace("{title}", "harbour pilot")
        own = template("harbour_pilot", general, answer="My pilot is {harbour_pilot}.")
        words = words_of(attribute_of("harbour_pilot", ["Ann Reed"]), [own])
        assert not any(general in words.asks[each] for each in PARTS), part


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


def test_a_sentence_that_states_another_value_first_is_understood() -> None:
    templates = [
        template(
            "prize",
            "What?",
            answer="Yes. I won the {prize} in {prize_year}, with joy.",
            keywords=("{prize}",),
        ),
        template("birth", "?", answer="I was born on {birth_date} in {birth_place} as {name}.", keywords=()),
    ]
    assert reads_of(templates, "prize_year") == ("I won the {other} in {value}, with joy.",)
    assert reads_of(templates, "birth_place") == ("I was born on {other} in {value} as ",)
    assert reads_of(templates, "prize") == reads_of(templates, "birth_date") == ()


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("I won the Nobel Prize in Physics in 1903 with Pierre.", [("prize_year", "1903")]),
        ("I won the Nobel Prize in 1903, and Bo in 1911.", [("prize_year", "1903")]),
        ("I won the lottery in 1903.", []),
        ("I won the Nobel Prize in Physics and Bo won it in 1903.", []),
        ("I was born on August 4, 1961 in Honolulu, Hawaii.", [("birth_place", "Honolulu, Hawaii")]),
    ],
)
def test_another_value_is_known_by_its_capitals_or_figures(said: str, found: list[tuple[str, str]]) -> None:
    reads = {
        "prize_year": ("I won the {other} in {value}.",),
        "birth_place": ("I was born on {other} in {value}",),
    }
    attributes = {
        "prize_year": attribute_of("prize_year", ["1903"]),
        "birth_place": ATTRIBUTES["birth_place"],
    }
    own = {key: replace(words_of(attributes[key], ()), reads=each) for key, each in reads.items()}
    facts = Wordings(attributes, own).read(said, speaker="Marie Curie")
    assert [(fact.attribute, fact.value) for fact in facts] == found
