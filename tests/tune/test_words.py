"""Differences and ratios in words."""

import math

import pytest

from tune.effects import Range, Ratio, effect
from tune.words import basis_text, difference_text, lacking, number, saving


def ratio(value: float | None, low: float, high: float) -> Ratio:
    interval = Range(low=low, high=high)
    return Ratio(value=value, over_seeds=interval, both=interval)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (ratio(3.14, 1.6, math.inf), "3.1 (1.6 to unbounded)"),
        (ratio(math.inf, 4.2, math.inf), "unbounded (4.2 to unbounded)"),
        (ratio(0.35, 0.0, 12.4), "0.35 (0 to 12)"),
        (ratio(None, 0.0, math.inf), "none, as neither arm gains"),
    ],
)
def test_data_ratios(found: Ratio, words: str) -> None:
    assert saving(found) == words


def test_differences_name_their_unit() -> None:
    found = effect([[0.1, 0.1], [0.0, 0.2], [0.1, 0.1]], shares=False)
    assert difference_text(found, "share").startswith("+10.0 points (")
    assert "nats a token" in difference_text(found, "nats")
    assert basis_text(found) == "3 seeds, 2 problems"
    assert number(-0.0312, "share") == "−3.1" and number(0.0312, "nats") == "+0.031"
    assert difference_text(effect([[0.5, 0.0]], shares=False), "share") == "+25.0 points (−∞ to ∞)"


def test_what_is_lacking() -> None:
    assert lacking(4, 0) == "about 4 more seeds" and lacking(0, 300) == "about 300 more problems"
    assert lacking(1, 1) == "about 1 more seed and 1 more problem" and lacking(0, 0) == ""
    assert lacking(0, 1_200) == "about 1,200 more problems"
