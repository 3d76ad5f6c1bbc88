"""Is a model the one that was trained? The texts stay, and the check holds numbers beside its sentence."""

import hashlib
import math

import pytest

from engine.models import liveness
from engine.records import Check, Score, from_json, to_json

OLD = [Score(100.0, 50)] * len(liveness.TEXTS)
NEW = [Score(90.0, 50)] * len(liveness.TEXTS)


def test_the_texts_are_those_that_stored_models_were_scored_on() -> None:
    digest = hashlib.sha256("\n".join(liveness.TEXTS).encode()).hexdigest()
    assert digest == "7e6a60b31821d83388043aad627619693a5d805f28c804243bffd70cb54f4057"


@pytest.mark.parametrize(
    ("trained", "off", "passed"), [(90.0, 0.0, True), (91.0, 0.02, True), (92.0, 0.04, False)]
)
def test_the_distance_to_the_trainer_is_a_number_with_its_limit(
    trained: float, off: float, passed: bool
) -> None:
    check = liveness.check(OLD, NEW, [trained] * len(OLD))
    assert (check.passed, check.value, check.limit) == (passed, pytest.approx(off), liveness.TOLERANCE)
    assert check.unit == "nats a token" and f"{off:.2g} nats a token" in check.observed


def test_the_champion_under_another_name_is_not_alive() -> None:
    assert not liveness.check(OLD, OLD, [100.0] * len(OLD)).passed


def test_a_model_that_is_not_finite_has_no_distance_and_its_check_can_be_read_back() -> None:
    check = liveness.check(OLD, [Score(math.nan, 50), *NEW[1:]], [90.0] * len(OLD))
    assert (check.passed, check.value, check.limit) == (False, None, liveness.TOLERANCE)
    assert from_json(Check, to_json(check)) == check
