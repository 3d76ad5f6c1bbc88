"""Which attribute a name means."""

import pytest

from engine.embeddings import embedder
from engine.memory.meaning import Meanings
from engine.people.attributes import ATTRIBUTES
from tests.support.bag_of_words import bag_of_words


def test_keys_titles_and_other_names_need_no_embeddings() -> None:
    meanings = Meanings(ATTRIBUTES)
    names = ("birth_year", "Year of birth", "hometown", "married to", "best friend", "wishes")
    assert [meanings.key(name) for name in names] == [
        "birth_year",
        "birth_year",
        "birth_place",
        "spouse",
        "friend",
        "",
    ]


def test_a_like_name_is_found_and_one_between_two_is_not() -> None:
    meanings = Meanings(ATTRIBUTES, bag_of_words)
    assert meanings.key("the year of birth") == "birth_year"
    assert meanings.key("the_year_of_the_move") == "moved_year"
    # As like to the year as to the date, and like nothing.
    assert meanings.key("of birth") == meanings.key("blood group") == meanings.key("") == ""


@pytest.mark.slow
def test_embeddings_find_attributes_across_wordings() -> None:
    meanings = Meanings(ATTRIBUTES, embedder())
    names = {
        "the year someone was born": "birth_year",
        "city of birth": "birth_place",
        "where she lives": "home",
        "line of work": "job",
        "life partner": "spouse",
        "dog's name": "pet_name",
        "favourite meal": "favourite_food",
    }
    found = {name: meanings.key(name) for name in names}
    # A wrong one would be a fact of another attribute; one that is not found is only undecided.
    assert all(found[name] in ("", key) for name, key in names.items()), found
    assert sum(map(bool, found.values())) >= 5, found
    unknown = ("blood group", "political party", "shoe size", "favourite colour", "weather", "lunch")
    assert not any(meanings.key(name) for name in unknown), {name: meanings.key(name) for name in unknown}
