"""Suites of tasks that generate their problems: every draw is fresh, repeatable and without end."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from random import Random
from typing import NoReturn, Protocol, TypeAlias, TypeVar

from engine.errors import Mistake
from engine.plugins import cause_in
from engine.records import Problem
from engine.tasks.suite import DataError, Task

Value: TypeAlias = int | bool | str
V = TypeVar("V")
_MOST_REPEATS = 1000
"""Problems of one slice that a draw may make in vain, because it has them already, before it gives up."""


class Make(Protocol):
    """A task's ``make``: one problem of a slice."""

    def __call__(
        self, settings: Mapping[str, Value], rng: Random, *, split: str, slice_name: str, origin: str
    ) -> Problem: ...


class More(Protocol):
    """A task's ``more``: up to `num` other problems about the story of one."""

    def __call__(self, problem: Problem, num: int, rng: Random, /) -> list[Problem]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """The parts of a task that make problems."""

    dimensions: Mapping[str, Sequence[Value]]
    """The allowed values of each dimension of a slice."""
    default_slices: Mapping[str, Sequence[Value]]
    make: Make
    more: More | None
    """None where the task asks one question a story."""
    where: str
    """The task or its file, as messages name it."""
    file: str | None
    """The user's file. None for a built-in task, whose errors are bugs and keep their tracebacks."""

    def problem(
        self, settings: Mapping[str, Value], rng: Random, *, split: str, slice_name: str, origin: str
    ) -> Problem:
        """One problem of a slice. Raises DataError where `make` fails or returns something else."""
        try:
            problem = self.make(settings, rng, split=split, slice_name=slice_name, origin=origin)
        except Exception as error:  # noqa: BLE001 - a user's file may raise anything
            self._failed("make", slice_name, error)
        self._check("make", problem)
        return problem

    def others(self, problem: Problem, num: int, rng: Random) -> list[Problem]:
        """Up to `num` more about a problem's story. Raises DataError as `problem` does."""
        if self.more is None or not num:
            return []
        try:
            others = list(itertools.islice(self.more(problem, num, rng), num))
        except Exception as error:  # noqa: BLE001 - a user's file may raise anything
            self._failed("more", problem.slice, error)
        for other in others:
            self._check("more", other)
        return others

    def _failed(self, part: str, slice_name: str, error: Exception) -> NoReturn:
        if self.file is None or isinstance(error, Mistake):
            raise error
        cause = cause_in(error, self.file)
        raise DataError(f"{self.where}: {part} fails for slice '{slice_name}': {cause}") from None

    def _check(self, part: str, problem: object) -> None:
        if not isinstance(problem, Problem):
            raise DataError(
                f"{self.where}: {part} must return engine.records.Problem, got {repr(problem)[:80]}"
            )
        for name, texts in (("turns", problem.turns), ("gold", problem.gold)):
            if not isinstance(texts, tuple) or not all(isinstance(text, str) for text in texts):
                raise DataError(
                    f"{self.where}: {name} of a problem must be a tuple of texts, got {repr(texts)[:80]}"
                )


class Generated:
    """A task with its mixture of slices: draws are independent, and weighted over slices where it says so."""

    task: Task
    """Set by whoever opens the suite."""

    def __init__(
        self,
        generator: Generator,
        cells: Mapping[str, Mapping[str, Value]],
        mixture: Mapping[str, float] | None = None,
    ) -> None:
        """`cells` holds the name of each slice with the settings of its problems.

        `mixture` is how frequent the slices are, as relative weights; None where all are alike.
        """
        self._generator, self._cells, self.mixture = generator, cells, mixture

    @property
    def slices(self) -> list[str]:
        return list(self._cells)

    def draw(
        self,
        num: int,
        *,
        split: str,
        seed: int,
        start: int = 0,
        exclude: Set[str] = frozenset(),
        weights: Mapping[str, float] | None = None,
        questions: int = 1,
    ) -> list[Problem]:
        """`num` problems, numbers `start` onwards of the endless sequence that (split, seed) names.

        Slices are drawn independently by `weights`, by default uniformly. No problem repeats another of this
        draw or one in `exclude`. With `questions` up to so many in a row are about one story: for training
        data only, because such problems are not independent. Raises DataError where the task cannot ask them,
        and where a slice has too few different problems.
        """
        if questions > 1 and self._generator.more is None:
            raise DataError(
                f"task {self.task.name} asks one question a story: questions must be 1, got {questions}"
            )
        taken = set(exclude)
        problems: list[Problem] = []
        names = self.slices
        weights = weights or self.mixture
        shares = [weights.get(name, 0.0) for name in names] if weights else None
        for index in itertools.count(start):
            if len(problems) == num:
                break
            problem, rng = self._new(f"{split}/{seed}/{index}", split, names, shares, taken)
            taken.add(problem.id)
            problems.append(problem)
            others = min(questions - 1, num - len(problems))
            for other in self._generator.others(problem, others, rng):
                if other.id not in taken:
                    taken.add(other.id)
                    problems.append(replace(other, story=problem.id))
        return problems

    def _new(
        self, origin: str, split: str, names: Sequence[str], shares: Sequence[float] | None, taken: Set[str]
    ) -> tuple[Problem, Random]:
        """A problem that is not in `taken`, and the random numbers after it. Raises DataError."""
        for attempt in itertools.count():
            rng = Random(f"{origin}/{attempt}")
            name = rng.choices(names, shares)[0]
            problem = self._generator.problem(
                self._cells[name], rng, split=split, slice_name=name, origin=f"{origin}/{attempt}"
            )
            if problem.id not in taken:
                return problem, rng
            if attempt > _MOST_REPEATS:
                break
        raise DataError(f"{split}: slice '{name}' has too few different problems")


def cells_of(
    generator: Generator, name: str, slices: Mapping[str, Sequence[Value]]
) -> dict[str, Mapping[str, Value]]:
    """The cross product of `slices`, and of a task's defaults where they say nothing; `name` is the task's.

    Raises DataError for an unknown dimension or value.
    """
    chosen = {**generator.default_slices, **slices}
    for dimension, values in chosen.items():
        if dimension not in generator.dimensions:
            allowed = ", ".join(generator.dimensions)
            raise DataError(f"task.slices: '{dimension}' is no dimension of {name}; it has {allowed}")
        allowed_values = generator.dimensions[dimension]
        # Types count, because Python takes True for 1: `hops: [true]` would be one hop.
        known = {(type(value), value) for value in allowed_values}
        if not values or any((type(value), value) not in known for value in values):
            wanted = f"allowed are one or more of {list(allowed_values)}"
            raise DataError(f"task.slices.{dimension}: got {list(values)}, {wanted}")
    return cross(chosen)


def mixture_of(names: Iterable[str], weights: Mapping[str, float]) -> dict[str, float] | None:
    """How frequent the slices of these names are, by the weights that a config gives some of their values.

    None where it gives none. Raises DataError for a weight that no slice has the values of.
    """
    words = {name: set(name.split()) for name in names}
    for key in weights:
        if not any(set(key.split()) <= own for own in words.values()):
            raise DataError(
                f"task.weights: no slice has the values '{key}'; a slice is called '{next(iter(words))}'"
            )
    if not weights:
        return None
    return {
        name: math.prod(weight for key, weight in weights.items() if set(key.split()) <= own)
        for name, own in words.items()
    }


def cross(slices: Mapping[str, Sequence[V]]) -> dict[str, Mapping[str, V]]:
    """Every choice of one value for each dimension, by its name: ``{"hops": 3, "negation": True}`` is called
    ``hops=3 negation=yes``."""
    words = {True: "yes", False: "no"}
    cells = (dict(zip(slices, values, strict=True)) for values in itertools.product(*slices.values()))
    return {
        " ".join(f"{k}={words[v] if isinstance(v, bool) else v}" for k, v in cell.items()): cell
        for cell in cells
    }
