"""Agreement between raters."""

from itertools import permutations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.judge.agreement import krippendorff_alpha

UNITS = st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=12)


def test_it_is_that_of_the_published_example() -> None:
    """Krippendorff 2011, example C: four observers, twelve units, nominal data with values missing."""
    raters = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
    units = [[rater[unit] for rater in raters if rater[unit] != "."] for unit in range(12)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_it_is_one_where_all_agree_and_below_zero_where_they_disagree_on_purpose() -> None:
    assert krippendorff_alpha(["aa", "bbb", "cc"]) == 1.0
    opposed = krippendorff_alpha(["ab", "ba", "ab"])
    assert opposed is not None and opposed < 0


@pytest.mark.parametrize("units", [[], ["a", "b"], ["aa", "aa"], ["aa", "b"]])
def test_without_two_ratings_that_could_differ_there_is_none(units: list[str]) -> None:
    assert krippendorff_alpha(units) is None


@given(UNITS)
def test_it_is_the_ratio_of_disagreements_that_its_definition_counts(units: list[list[str]]) -> None:
    pairable = [unit for unit in units if len(unit) > 1]
    values = [value for unit in pairable for value in unit]
    expected = sum(one != other for one, other in permutations(values, 2))
    assume(expected)
    observed = sum(
        sum(one != other for one, other in permutations(unit, 2)) / (len(unit) - 1) for unit in pairable
    )
    num = len(values)
    alpha = 1 - (observed / num) / (expected / (num * (num - 1)))
    assert krippendorff_alpha(units) == pytest.approx(alpha)
