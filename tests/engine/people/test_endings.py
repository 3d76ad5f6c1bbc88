"""Where sentences end."""

import pytest

from engine.people.endings import sentences


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("I met Dr. Vale. He is kind!", ["I met Dr. Vale.", "He is kind!"]),
        ("J. R. Stone lives there? Yes.", ["J. R. Stone lives there?", "Yes."]),
        ("“Go.” She went", ["“Go.”", "She went"]),
        ("I live in St. Louis. You?", ["I live in St. Louis.", "You?"]),
        ("It is Dr. Who. Yes.", ["It is Dr. Who.", "Yes."]),
        ("I work for Acme Inc. in Oslo.", ["I work for Acme Inc. in Oslo."]),
        ("I work for Acme Inc. I like it.", ["I work for Acme Inc.", "I like it."]),
        ("That is Malcolm X. He spoke.", ["That is Malcolm X.", "He spoke."]),
        ("I live in Oslo\nI bake\n\nbread", ["I live in Oslo", "I bake", "bread"]),
        ("I live in New\nYork", ["I live in New\nYork"]),
    ],
)
def test_sentences_end_where_people_end_them(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts
