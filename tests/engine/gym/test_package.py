"""The package and the settings of its datasets: what is missing, unknown or refused is one sentence."""

import importlib
import importlib.metadata
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from engine.gym import package
from engine.gym.package import GymError, build, datasets, parameters, spread


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package as it is before it has been imported; what is made of it meanwhile is forgotten again."""
    datasets.cache_clear()
    yield
    datasets.cache_clear()


@pytest.mark.usefixtures("forgotten")
def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    monkeypatch.setitem(sys.modules, "reasoning_gym.factory", None)
    with pytest.raises(GymError, match=r"reasoning_gym.*, which is not installed: `make setup` installs it"):
        datasets()


@pytest.mark.usefixtures("forgotten")
def test_another_release_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1.26")
    with pytest.raises(GymError, match=r"needs reasoning-gym 0\.1\.25, .*; got 0\.1\.26"):
        datasets()


def test_stand_ins_are_gone_after_the_import() -> None:
    datasets()
    for name in package._STAND_INS:
        module = sys.modules.get(name)
        assert module is None or module.__spec__ is not None, f"{name} would be taken for installed"


def test_a_name_without_its_own_parameter_sets_both_bounds() -> None:
    assert spread("chain_sum", [("terms", 3), ("min_digits", 1)]) == {
        "min_terms": 3,
        "max_terms": 3,
        "min_digits": 1,
    }
    assert {"min_terms", "allow_negation"} <= set(parameters("chain_sum"))
    assert not {"seed", "size"} & set(parameters("chain_sum"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            [("term", 3)],
            r"'term' is no parameter of chain_sum \(did you mean 'terms'\?\); it has min_terms, ",
        ),
        ([("seed", 3)], "'seed' is no parameter of chain_sum"),
        ([("terms", 3), ("max_terms", 4)], "'max_terms' sets max_terms of chain_sum, which is set already"),
    ],
)
def test_settings_are_named_and_set_once(settings: list[tuple[str, Any]], message: str) -> None:
    with pytest.raises(GymError, match=message):
        spread("chain_sum", settings)


@pytest.mark.parametrize(
    ("dataset", "settings", "message"),
    [
        ("chain_sum", {"max_terms": "3"}, "max_terms of chain_sum must be a valid integer, got '3'"),
        ("chain_sum", {"max_terms": True}, "max_terms of chain_sum must be a valid integer, got True"),
        ("chain_sum", {"max_terms": 1}, "refuses {'max_terms': 1} for chain_sum: max_terms must be >= "),
        ("rearc", {"board_format_opts": {}}, "board_format_opts of rearc cannot be set from a config"),
        ("chain_sun", {}, r"no dataset 'chain_sun' \(did you mean 'chain_sum'\?\); `python -m engine.gym` "),
        ("word_ladder", {}, "the dataset word_ladder does not serve: the same seed gives another entry"),
    ],
)
def test_what_a_dataset_cannot_use_is_one_sentence(
    dataset: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(GymError, match=message) as error:
        build(dataset, json.dumps(settings))
    assert "\n" not in str(error.value)


def test_settings_take_the_types_of_their_parameters() -> None:
    made = build("time_intervals", json.dumps({"min_date": "1999-12-31", "task_types": ["date"]}))
    assert (made.config.min_date.year, made.config.task_types) == (1999, ["date"])
    assert build("basic_arithmetic", json.dumps({"operators": ["+"]})).config.operators == ["+"]
