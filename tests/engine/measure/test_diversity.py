"""How varied texts are: by hand-counted n-grams."""

import pytest

from engine.measure.diversity import KEYS, distinct, figures_of, repetition


def test_distinct_counts_different_runs_of_words_over_all_texts() -> None:
    texts = ["a b a b", "a b c"]
    assert distinct(texts, 1) == pytest.approx(3 / 7)
    assert distinct(texts, 2) == pytest.approx(3 / 5)  # ab, ba, bc of ab, ba, ab, ab, bc
    assert distinct(texts, 3) == pytest.approx(3 / 3)
    assert distinct(["a"], 2) == distinct([], 1) == 0.0


def test_repetition_is_within_a_text_and_not_between_texts() -> None:
    assert repetition(["a b c d", "a b c d"]) == 0.0
    assert repetition(["a b a b a b a b"]) == pytest.approx(1 - 2 / 5)
    assert repetition(["x x x x x x", "a b c d e"]) == pytest.approx((1 - 1 / 3) / 2)
    assert repetition(["too short"]) == repetition([]) == 0.0
    assert repetition(["a a b"], n=1) == pytest.approx(1 / 3)


def test_a_model_that_says_one_thing_only_is_told_from_one_that_does_not() -> None:
    dull, varied = ["yes it is"] * 8, [f"{i} ways to say {i * i}" for i in range(8)]
    low, high = ({figure.key: figure.number for figure in figures_of(texts)} for texts in (dull, varied))
    assert tuple(low) == KEYS
    assert all(low[key] < high[key] for key in KEYS if key != "repetition")
    looping = {figure.key: figure.number for figure in figures_of(["and so on " * 9])}
    assert looping["repetition"] > 0.8 > high["repetition"] == 0.0
