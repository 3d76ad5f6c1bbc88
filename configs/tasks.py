"""Settings of a task: one leaf for each kind of source, and the union of them that a config's ``task`` holds.

A key of another kind is an error. A task of a user's own is the path of a Python file (`engine/tasks`).
"""

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Tag, model_validator

from configs.base import OWN, Leaf, by


class Task(Leaf):
    """A task that makes its problems: a built-in one, or a file of a user's own."""

    name: str = "prontoqa"
    """A name from `engine/tasks`, or the path of a Python file, relative to the current directory."""
    slices: dict[str, list[int | bool | str]] = {}
    """Values of each dimension; the suite's mixture is their cross product. Empty: the task's own default."""


class RecordsTask(Leaf):
    """A task whose problems are the lines of a user's own file."""

    name: Literal["records"] = "records"


class GymDataset(Leaf):
    """A dataset of reasoning-gym with its mixture; ``python -m engine.gym NAME`` shows its parameters."""

    slices: dict[str, list[int | bool | float | str]] = {}
    """Parameters with the values that make up the mixture, which is their cross product. A name ``x`` without
    a parameter of its own sets both ``min_x`` and ``max_x``."""
    settings: dict[str, Any] = {}
    """Parameters, named as in `slices`, that have one value; others keep reasoning-gym's defaults."""


class GymTask(GymDataset):
    """Tasks of reasoning-gym, which generates problems without end and scores the answers."""

    name: Literal["gym"] = "gym"
    dataset: str | None = None
    """The one dataset that `slices` and `settings` are of."""
    datasets: dict[str, GymDataset] = {}
    """Several, each with its own; all their slices together are the mixture."""
    reply: Literal["whole", "tags"] = "whole"
    """What of a reply is the answer: all of it, or what stands between <answer> and </answer>."""

    @model_validator(mode="after")
    def _names_datasets_once(self) -> Self:
        if bool(self.dataset) == bool(self.datasets):
            got = "both" if self.dataset else "neither"
            raise ValueError(f"gym needs either `dataset: NAME` or `datasets: {{NAME: …}}`, got {got}")
        if self.datasets and (self.slices or self.settings):
            raise ValueError("with `datasets`, slices and settings belong to each of them")
        return self


AnyTask: TypeAlias = Annotated[
    Annotated[Task, Tag("prontoqa")]
    | Annotated[Task, Tag(OWN)]
    | Annotated[RecordsTask, Tag("records")]
    | Annotated[GymTask, Tag("gym")],
    by("name", "prontoqa"),
]
