"""Suites of a task by its name, as tests of several rooms draw from them."""

from collections.abc import Mapping, Sequence

from configs.tasks import Task
from engine.tasks import load_task
from engine.tasks.suite import Suite


def suite(name: str = "prontoqa", slices: Mapping[str, Sequence[int | bool | str]] | None = None) -> Suite:
    chosen = {dimension: list(values) for dimension, values in (slices or {}).items()}
    return load_task(name).open(Task(name=name, slices=chosen))
