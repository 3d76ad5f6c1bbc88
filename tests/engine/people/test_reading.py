"""What is read by rule: every known wording, whoever says it of whom, and nothing that is only mentioned."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from engine.people.wordings import Wordings
from engine.people.world import World
from tests.support.people import everything

WORDINGS = Wordings()
ANN, BO = "Ann Reed", "Bo Lind"


def read(text: str, **who: str) -> list[tuple[str, str, str]]:
    found = WORDINGS.read(text, **{"speaker": ANN, "about": BO, **who})
    return [(fact.subject, fact.attribute, fact.value) for fact in found]


def test_every_sentence_that_is_made_is_read_back() -> None:
    for day in (1, 2):
        for number, fact in enumerate(everything(World(day), day)):
            for seed in range(3):
                rng = Random(f"{number}/{seed}")
                assert WORDINGS.read(WORDINGS.state(fact, rng)) == [fact]
                said = WORDINGS.state(fact, rng, first_person=True)
                assert WORDINGS.read(said, speaker=fact.subject) == [fact], said
                assert WORDINGS.read(said, speaker=ANN) == [replace(fact, subject=ANN)]
                assert WORDINGS.read(said) == [], "nobody knows who says it"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I live in Foxhaven.", (ANN, "home", "Foxhaven")),
        ("Well, you know, I live in Foxhaven, like my mother.", (ANN, "home", "Foxhaven")),
        ("i live in Foxhaven!", (ANN, "home", "Foxhaven")),
        ("You live in Foxhaven.", (BO, "home", "Foxhaven")),
        ("She lives in Foxhaven.", (BO, "home", "Foxhaven")),
        ("Her home is in Foxhaven.", (BO, "home", "Foxhaven")),
        ("Bo lives in Foxhaven.", (BO, "home", "Foxhaven")),
        ("Eva Hall lives in Foxhaven.", ("Eva Hall", "home", "Foxhaven")),
        ("Eva Hall's home is in Foxhaven.", ("Eva Hall", "home", "Foxhaven")),
        ("I was born in Honolulu, Hawaii.", (ANN, "birth_place", "Honolulu, Hawaii")),
        ("I was born in 1967, long ago.", (ANN, "birth_year", "1967")),
        ("I were born in 1967.", (ANN, "birth_year", "1967")),
        ("I was born on May 3, 1967.", (ANN, "birth_date", "May 3, 1967")),
        ("I work as a baker in the old town.", (ANN, "job", "baker")),
        ("I work for Amber Glass.", (ANN, "employer", "Amber Glass")),
        ("I play the oboe and the dog sings.", (ANN, "instrument", "oboe")),
        ("Actually, sorry: I was born in 1967, not in 1976.", (ANN, "birth_year", "1967")),
        ("No, I was born in 1967.", (ANN, "birth_year", "1967")),
        ("My dog is called Old Pepper.", (ANN, "pet_name", "Old Pepper")),
        ("I live at number 12.", (ANN, "house_number", "12")),
        # Names with full stops, whole.
        ("I live in St. Louis.", (ANN, "home", "St. Louis")),
        ("I live in Washington, D.C.", (ANN, "home", "Washington, D.C")),
        ("My spouse is John F. Kennedy.", (ANN, "spouse", "John F. Kennedy")),
        ("My spouse is Bob Lee Jr. We are happy.", (ANN, "spouse", "Bob Lee Jr")),
        ("My teacher was J. R. R. Tolkien.", (ANN, "teacher", "J. R. R. Tolkien")),
        ("My teacher was Prof. Smith.", (ANN, "teacher", "Prof. Smith")),
        ("I work for the U.S. Army.", (ANN, "employer", "U.S. Army")),
        # Letters as they are spelled.
        ("I live in São Paulo.", (ANN, "home", "São Paulo")),
        ("I live in Sa\u0303o Paulo.", (ANN, "home", "São Paulo")),
        ("I live in Łódź.", (ANN, "home", "Łódź")),
        ("I was born in Þingeyri, near Ærø.", (ANN, "birth_place", "Þingeyri")),
        ("Łukasz Ødegård lives in Århus.", ("Łukasz Ødegård", "home", "Århus")),
        ("José Núñez's home is in Foxhaven.", ("José Núñez", "home", "Foxhaven")),
        ("My favourite food is crème brûlée.", (ANN, "favourite_food", "crème brûlée")),
        ("My spouse is Mary O’Hara.", (ANN, "spouse", "Mary O'Hara")),
    ],
)
def test_who_is_meant_and_what_is_said(text: str, found: tuple[str, str, str]) -> None:
    assert read(text) == [found]


@pytest.mark.parametrize(
    "text",
    [
        "I do not live in Foxhaven.",
        "I never lived in Foxhaven.",
        "I do not think that Eva Hall lives in Foxhaven.",
        "I heard that Eva Hall lives in Foxhaven.",
        "They say, Eva Hall lives in Foxhaven.",
        "Eva Hall lives in Foxhaven, or so they say.",
        "I live in Foxhaven, just kidding.",
        "If I live in Foxhaven, I am happy.",
        "Do you think I live in Foxhaven?",
        "I live in Foxhaven?",
        "Jim lives in Foxhaven.",
        "I live in a small house.",
        "I live in hope.",
        "I was born in a storm.",
        "I was born in 19.",
        "I am a bit tired.",
        "I like it best.",
        "My home is my castle.",
        "My birthday is soon.",
        "I work for myself.",
        "I used to live in Foxhaven.",
        "I live in New\nYork.",
        "My teacher was A. Reed.",
        "My spouse is Mary A. Reed.",
        "I was born in May.",
        "I was born in summer.",
        "I work for free.",
        "I work for hire.",
        "",
    ],
)
def test_what_is_only_mentioned_is_not_read(text: str) -> None:
    assert read(text) == []


def test_several_clauses_and_sentences() -> None:
    text = (
        "I live in Foxhaven, and I play the oboe. My friend? My best friend is Eva Hall. She lives in Foxton."
    )
    assert read(text) == [
        (ANN, "home", "Foxhaven"),
        (ANN, "instrument", "oboe"),
        (ANN, "friend", "Eva Hall"),
        (BO, "home", "Foxton"),
    ]
    assert read("Eva Hall is nice. Eva Hall plays the oboe. She lives in Foxton.")[1] == (
        "Eva Hall",
        "home",
        "Foxton",
    )


@pytest.mark.parametrize(
    ("question", "answer", "found"),
    [
        ("Where do you live?", "Foxhaven.", [(ANN, "home", "Foxhaven")]),
        ("Nice! And where do you live?", "In Foxhaven, by the sea.", [(ANN, "home", "Foxhaven")]),
        ("What instrument do you play?", "The oboe.", [(ANN, "instrument", "oboe")]),
        ("What instrument do you play?", "Oboe.", [(ANN, "instrument", "oboe")]),
        ("When were you born?", "It was in 1967.", [(ANN, "birth_year", "1967")]),
        ("Where does Eva Hall live?", "In Foxhaven.", [("Eva Hall", "home", "Foxhaven")]),
        ("Where do you live?", "I live in Foxhaven.", [(ANN, "home", "Foxhaven")]),
        ("So you live in Foxhaven?", "Yes, that is right.", [(ANN, "home", "Foxhaven")]),
        ("You live in Foxhaven, right?", "Exactly.", [(ANN, "home", "Foxhaven")]),
        ("So you live in Foxhaven?", "No, in Foxton.", []),
        ("So you live in Foxhaven?", "Yes and no.", []),
        ("Where do you live?", "I would rather not say.", []),
        ("Where do you live?", "Yes.", []),
        ("Where do you live?", "In Foxhaven? I wish!", []),
        ("How are you?", "Foxhaven.", []),
        ("Where do you live?", "Maybe in Foxhaven.", []),
        ("You live in Foxhaven.", "Yes.", []),
        ("Where do you live?", "In São Paulo.", [(ANN, "home", "São Paulo")]),
        ("So you live in São Paulo?", "Yes.", [(ANN, "home", "São Paulo")]),
        ("Where does Zoë Hall live?", "In Foxhaven.", [("Zoë Hall", "home", "Foxhaven")]),
        ("What is your favourite food?", "Éclairs.", [(ANN, "favourite_food", "éclairs")]),
        ("Who are you married to?", "Single.", []),
        ("Who are you married to?", "I am divorced.", []),
        ("What is your job?", "Secret.", []),
        ("What is your job?", "Retired.", []),
    ],
)
def test_a_question_and_its_answer_state_a_fact_together(question: str, answer: str, found: Any) -> None:
    assert read(answer, asked=question) == found


def test_a_first_name_is_the_persons_with_and_without_its_accents() -> None:
    for name in ("Zoe", "Zoë"):
        assert read(f"{name} lives in Foxhaven.", about="Zoë Hall") == [("Zoë Hall", "home", "Foxhaven")]


def test_a_sentence_without_end_is_not_read() -> None:
    pasted = "I live in Oslo and " * 40
    assert read(f"{pasted}. I work as a baker.") == [(ANN, "job", "baker")]
    assert (
        read(pasted, asked="Where do you live?") == read("Oslo.", asked=f"{pasted} where do you live?") == []
    )
