"""Several tasks about proofs in one campaign, each with an equal share of the problems.

    task: {name: mixture, tasks: {prontoqa: {slices: {hops: [1, 2, 3]}}, formal: {}}}

Each task keeps its slices, whose names begin with the task's. All must have the verifiers of the first.
"""

from collections.abc import Mapping, Set
from dataclasses import replace
from random import Random

from pydantic import TypeAdapter, ValidationError

from configs.tasks import AnyTask, MixtureTask, Task
from engine.logic.proof_check import prune
from engine.records import Problem
from engine.tasks import load_task, proofs
from engine.tasks.suite import DataError, Suite
from engine.tasks.suite import Task as LoadedTask

NAME = "mixture"
SYSTEM = "Prove or refute, or answer Unknown."
VERIFIERS = ("rules", "z3")
FIGURES, HEADLINE = proofs.FIGURES_OF_FORMULAS, proofs.HEADLINE
target = prune
_LEAF: TypeAdapter[AnyTask] = TypeAdapter(AnyTask)


class Mixture:
    """A suite of suites: each problem is drawn from one of them."""

    task: LoadedTask

    def __init__(self, suites: Mapping[str, Suite]) -> None:
        self._suites = dict(suites)

    @property
    def slices(self) -> list[str]:
        return [_named(name, each) for name, suite in self._suites.items() for each in suite.slices]

    @property
    def mixture(self) -> dict[str, float]:
        """How frequent each slice is: all tasks alike, and in each its slices as it has them."""
        found: dict[str, float] = {}
        for name, suite in self._suites.items():
            own: Mapping[str, float] = getattr(suite, "mixture", None) or dict.fromkeys(suite.slices, 1.0)
            total = sum(own.values())
            found |= {_named(name, each): share / total for each, share in own.items()}
        return found

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
        """`num` problems as `Generated.draw` gives them; which task the next one is of is drawn first.

        A task that asks one question a story asks one, whatever `questions` says. Raises DataError.
        """
        weights = weights or self.mixture
        names = list(self._suites)
        shares = {name: self._weights_of(name, weights) for name in names}
        totals = [sum(shares[name].values()) for name in names]
        taken, problems, index = set(exclude), list[Problem](), start
        while len(problems) < num:
            name = Random(f"{split}/{seed}/{index}/task").choices(names, totals)[0]
            suite, left = self._suites[name], num - len(problems)
            most = min(questions, left) if questions > 1 and _asks_several(suite) else 1
            drawn = suite.draw(
                most,
                split=split,
                seed=seed,
                start=index,
                exclude=taken,
                weights=shares[name],
                questions=most,
            )
            problems += [replace(each, slice=_named(name, each.slice)) for each in drawn]
            taken |= {each.id for each in drawn}
            index += 1
        return problems

    def _weights_of(self, name: str, weights: Mapping[str, float]) -> dict[str, float]:
        """The weights of a task's own slices."""
        return {each: weights.get(_named(name, each), 0.0) for each in self._suites[name].slices}


def _named(name: str, slice_name: str) -> str:
    return f"task={name} {slice_name}"


def _asks_several(suite: Suite) -> bool:
    try:
        suite.draw(0, split="plan", seed=0, questions=2)
    except DataError:
        return False
    return True


def open(settings: AnyTask) -> Mixture:
    """The suite of a config's tasks. Raises DataError where they do not go together."""
    assert isinstance(settings, MixtureTask), "the task's own leaf"
    suites: dict[str, Suite] = {}
    for name, own in settings.tasks.items():
        task = load_task(name)
        try:
            leaf = _LEAF.validate_python({"name": name, **own.model_dump()})
        except ValidationError:
            leaf = None  # of a task that has other settings
        if not isinstance(leaf, Task) or task.verifiers != VERIFIERS:
            raise DataError(
                f"task.tasks: a mixture is of tasks that make problems about proofs, which "
                f"{' and '.join(VERIFIERS)} judge; {name} is none of them"
            )
        suites[name] = task.open(leaf)
    return Mixture(suites)
