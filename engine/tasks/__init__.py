"""Tasks: one file each, and one line in `TASKS`.

A task file offers ``NAME``, ``VERIFIER`` (a name for `engine.verify.pool.load_verifier`), ``DIMENSIONS``
(allowed values of each slice dimension), ``DEFAULT_SLICES``, ``make(settings, rng, *, split,
slice_name, origin) -> Problem``, ``target(problem, text) -> str`` (what to learn from a completion that
passed) and ``read(path) -> list[Problem]`` for public files. ``SECOND_VERIFIER`` may name one more, which has
no part in making training data and at the gate must say PASS as well. With ``more(problem, num, rng) ->
list[Problem]``, up to `num` other problems about the story of one, training data can be of several each.
A user's own task is the path of such a file.
"""

import hashlib
import importlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from types import ModuleType

from configs.schema import Config
from engine.plugins import PluginError, load_plugin
from engine.records import Problem

TASKS = {"prontoqa": "engine.tasks.prontoqa"}


class DataError(ValueError):
    """A data file or task that cannot be used; the message names the file, the place and the reason."""


class Suite:
    """A task with its mixture of slices: draws are independent, uniform or weighted over slices."""

    def __init__(self, name: str, slices: Mapping[str, Sequence[int | bool | str]] | None = None) -> None:
        """Raises DataError for an unknown task, dimension or value."""
        self.task = load_task(name)
        chosen = {**self.task.DEFAULT_SLICES, **(slices or {})}
        for dimension, values in chosen.items():
            if dimension not in self.task.DIMENSIONS:
                allowed = ", ".join(self.task.DIMENSIONS)
                raise DataError(f"task.slices: '{dimension}' is no dimension of {name}; it has {allowed}")
            allowed_values = self.task.DIMENSIONS[dimension]
            # By type too: to Python, `hops: [true]` would be one hop.
            known = {(type(value), value) for value in allowed_values}
            if not values or any((type(value), value) not in known for value in values):
                wanted = f"allowed are one or more of {list(allowed_values)}"
                raise DataError(f"task.slices.{dimension}: got {list(values)}, {wanted}")
        cells = itertools.product(*chosen.values())
        self.settings = {
            label(cell): cell for cell in (dict(zip(chosen, values, strict=True)) for values in cells)
        }

    @property
    def second_verifier(self) -> str:
        """Empty where the task has one verifier."""
        return getattr(self.task, "SECOND_VERIFIER", "")

    @property
    def slices(self) -> list[str]:
        return list(self.settings)

    def draw(
        self,
        num: int,
        *,
        split: str,
        seed: int,
        start: int = 0,
        exclude: frozenset[str] | set[str] = frozenset(),
        weights: Mapping[str, float] | None = None,
        questions: int = 1,
    ) -> list[Problem]:
        """`num` problems, numbers `start` onwards of the endless sequence that (split, seed) names.

        Slices are drawn independently by `weights` (uniform by default). No problem repeats another of
        this draw or one in `exclude`. With `questions` up to so many in a row are about one story: for
        training data, as such problems are not independent. Raises DataError where the task cannot.
        """
        self.require_questions(questions)
        taken = set(exclude)
        problems: list[Problem] = []
        names = self.slices
        shares = [(weights or {}).get(name, 0.0) for name in names] if weights else None
        for index in itertools.count(start):
            if len(problems) == num:
                break
            for attempt in itertools.count():
                origin = f"{split}/{seed}/{index}/{attempt}"
                rng = Random(origin)
                name = rng.choices(names, shares)[0]
                problem = self.task.make(
                    self.settings[name], rng, split=split, slice_name=name, origin=origin
                )
                if problem.id not in taken:
                    break
                if attempt > 1000:
                    raise DataError(f"{split}: slice '{name}' has too few different problems")
            taken.add(problem.id)
            problems.append(problem)
            others = min(questions - 1, num - len(problems))
            for other in self.task.more(problem, others, rng) if others else ():
                if other.id not in taken:
                    taken.add(other.id)
                    problems.append(replace(other, story=problem.id))
        return problems

    def require_questions(self, questions: int) -> None:
        """Raises DataError where the task cannot ask so many about one story."""
        if questions > 1 and not hasattr(self.task, "more"):
            name = self.task.NAME
            raise DataError(f"task {name} asks one question a story: questions must be 1, got {questions}")


def label(settings: Mapping[str, int | bool | str]) -> str:
    """``{"hops": 3, "negation": True}`` as ``hops=3 negation=yes``."""
    words = {True: "yes", False: "no"}
    return " ".join(f"{k}={words[v] if isinstance(v, bool) else v}" for k, v in settings.items())


def problem_id(task: str, premises: Sequence[str], question: str) -> str:
    return hashlib.sha256("\n".join([task, *premises, question]).encode()).hexdigest()[:16]


def load_task(name: str) -> ModuleType:
    """A built-in task by name, or a Python file by path.

    Raises DataError where there is none, and for a file that lacks a part or raises when it is run.
    """
    if name in TASKS:
        return importlib.import_module(TASKS[name])
    path = Path(name)
    if path.suffix != ".py" or not path.is_file():
        raise DataError(f"task '{name}' is neither one of {', '.join(TASKS)} nor the path of a Python file")
    wanted = ("NAME", "VERIFIER", "DIMENSIONS", "DEFAULT_SLICES", "make", "target", "read")
    try:
        return load_plugin(path, "task", wanted)
    except PluginError as error:
        raise DataError(str(error)) from None


def suite_of(config: Config) -> Suite:
    """The task with its mixture. Raises engine.tasks.DataError for an unknown task or slice, and for more
    questions a story than it can ask."""
    suite, warm = Suite(config.task.name, config.task.slices), config.warm_start
    suite.require_questions(max(config.propose.questions, warm.questions if warm else 1))
    return suite
