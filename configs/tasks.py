"""Settings of a task: one leaf for each kind of source, and the union of them that a config's ``task`` holds.

A key of another kind is an error. A task of a user's own is the path of a Python file (`engine/tasks`).
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import Tag

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


class GymTask(Leaf):
    """Tasks of reasoning-gym, which generates problems without end and scores the answers."""

    name: Literal["gym"] = "gym"


AnyTask: TypeAlias = Annotated[
    Annotated[Task, Tag("prontoqa")]
    | Annotated[Task, Tag(OWN)]
    | Annotated[RecordsTask, Tag("records")]
    | Annotated[GymTask, Tag("gym")],
    by("name", "prontoqa"),
]
