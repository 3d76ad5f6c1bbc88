"""Near duplicates are found, and problems that only look alike are not."""

import pytest

from engine.curate.near import LEAST, near_duplicates, shingle_vectors

STORY = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May."


def test_a_text_that_says_almost_the_same_is_found() -> None:
    texts = [
        STORY,
        "Something else entirely, with 48 words.",
        STORY.replace("then she", "she then"),
        STORY.upper(),
    ]
    pairs = near_duplicates(texts)
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 2), (0, 3), (2, 3)]
    assert all(LEAST <= pair.similarity <= 1 for pair in pairs)


def test_other_numbers_make_another_problem() -> None:
    assert near_duplicates([STORY, STORY.replace("48", "49")]) == []
    assert near_duplicates([f"What is {i} + {j}?" for i in range(10, 30) for j in range(10, 30)]) == []


def test_other_symbols_or_another_order_make_another_problem() -> None:
    assert near_duplicates([f"What is 60 {sign} 77?" for sign in "+-*/^"]) == []
    assert near_duplicates(["What is 60 - 77?", "What is 77 - 60?"]) == []
    assert near_duplicates(["🙂", "🙃", "???", "!!!", "∀x", "∃x"]) == []
    assert len(near_duplicates(["What is 60 + 77?", "What is 60 + 77, please?", "what is 60 + 77"])) >= 1


def test_equal_texts_are_no_near_duplicates_and_short_ones_are_read() -> None:
    assert near_duplicates([STORY, STORY]) == []
    assert near_duplicates(["", "a", "é", "日本"]) == []


def test_vectors_of_shingles_are_near_where_texts_are() -> None:
    vectors = shingle_vectors([STORY, STORY.upper(), STORY.replace("clips", "pins"), "What is 60 + 77?"])
    near = vectors @ vectors.T
    assert near[0, 1] == pytest.approx(1) and 0.7 < near[0, 2] < 1 and near[0, 3] < 0.1
    assert near.diagonal() == pytest.approx(1)
