"""How varied texts are: by hand-counted n-grams."""

from collections.abc import Sequence

import numpy as np
import pytest

from engine.measure.diversity import KEYS, SPREAD, distinct, figures_of, repetition, spread


def by_first_letter(texts: Sequence[str]) -> np.ndarray:
    """Embeds a text as a direction of the plane: north, east, or between both."""
    places = {"n": (0.0, 1.0), "e": (1.0, 0.0), "b": (0.5**0.5, 0.5**0.5)}
    return np.array([places[text[0]] for text in texts])


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


def test_spread_is_the_mean_cosine_distance_of_two_texts() -> None:
    assert spread(["n", "e"], by_first_letter) == pytest.approx(1.0)
    assert spread(["north", "n", "no"], by_first_letter) == pytest.approx(0.0)
    near = 1 - 0.5**0.5
    assert spread(["n", "e", "b"], by_first_letter) == pytest.approx((1 + 2 * near) / 3)
    assert spread(["n"], by_first_letter) == spread([], by_first_letter) == 0.0


def test_of_many_texts_some_are_embedded_from_the_first_to_the_last() -> None:
    seen: list[str] = []

    def embed(texts: Sequence[str]) -> np.ndarray:
        seen.extend(texts)
        return by_first_letter(texts)

    texts = [*(f"n{i}" for i in range(500)), *(f"e{i}" for i in range(500))]
    # Of the pairs of 50 and 50, one half and a little more is of different directions.
    assert spread(texts, embed) == pytest.approx(0.5 * 100 / 99)
    assert len(seen) == 100 and seen[:2] == ["n0", "n10"] and seen[-1] == "e490"


def test_spread_is_a_figure_where_texts_are_embedded() -> None:
    assert SPREAD not in {figure.key for figure in figures_of(["n", "e"])}
    *others, last = figures_of(["n", "e"], by_first_letter)
    assert tuple(figure.key for figure in others) == KEYS
    assert (last.key, last.unit) == (SPREAD, "") and last.number == pytest.approx(1.0)
