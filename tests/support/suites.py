"""Suites of a task by its name, as tests of several rooms draw from them."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from configs.tasks import AnyTask
from engine.tasks import load_task
from engine.tasks.suite import Suite

NEEDS: Mapping[str, Mapping[str, Any]] = {
    "gym": {"dataset": "spell_backward"},
    "mixture": {"tasks": {"prontoqa": {}, "proofwriter": {}}},
}
"""What a config must say of a task besides its name."""
_SETTINGS: TypeAdapter[AnyTask] = TypeAdapter(AnyTask)


def suite(name: str = "prontoqa", slices: Mapping[str, Sequence[int | bool | str]] | None = None) -> Suite:
    chosen = {dimension: list(values) for dimension, values in (slices or {}).items()}
    settings = {"name": name, **NEEDS.get(name, {}), **({"slices": chosen} if chosen else {})}
    return load_task(name).open(_SETTINGS.validate_python(settings))
