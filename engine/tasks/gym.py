"""Tasks of reasoning-gym: almost ninety datasets of endless fresh problems, each with a scorer.

`python -m engine.gym` lists the datasets, and `python -m engine.gym NAME` the parameters of one. A slice is a
dataset with one value for each parameter that the config varies, such as ``dataset=chain_sum terms=3``.
"""

import json
from collections.abc import Mapping
from random import Random

from configs.tasks import GymDataset, GymTask
from engine.gym import entries
from engine.gym.package import GymError, spread
from engine.records import Problem, Reference
from engine.tasks import problem_id
from engine.tasks.generated import Generated, Generator, Value, cross
from engine.tasks.suite import DataError, Suite

NAME = "gym"
SYSTEM = "Solve the task."
VERIFIERS = ("gym",)
_ASKED = {
    "whole": "Reply with the answer alone.",
    "tags": "Think first if that helps, then write the answer between <answer> and </answer>.",
}
"""What stands below a question, by what of a reply counts."""


def open(settings: GymTask) -> Suite:
    """The mixture of a config. Raises DataError for what reasoning-gym does not have, or cannot use."""
    one = {settings.dataset: settings} if settings.dataset else {}
    reply = settings.reply
    cells: dict[str, tuple[str, str]] = {}
    for dataset, chosen in {**one, **settings.datasets}.items():
        try:
            cells |= _cells(dataset, chosen)
        except GymError as error:
            raise DataError(f"task.{'dataset' if one else f'datasets.{dataset}'}: {error}") from None

    def make(
        settings: Mapping[str, Value], rng: Random, *, split: str, slice_name: str, origin: str
    ) -> Problem:
        dataset, parameters = cells[slice_name]
        try:
            entry = entries.draw(dataset, parameters, rng)
        except GymError as error:
            raise DataError(f"{split}: slice '{slice_name}': {error}") from None
        question, answer = f"{entry.question.rstrip()}\n{_ASKED[reply]}", entry.answer.strip()
        return Problem(
            id=problem_id(NAME, dataset, question),
            task=NAME,
            slice=slice_name,
            turns=(question,),
            truth=Reference(
                accepted=(entry.answer,),
                extra={
                    "dataset": dataset,
                    "settings": parameters,
                    "facts": entry.facts,
                    "reply": reply,
                },
            ),
            gold=(f"<answer>{answer}</answer>" if reply == "tags" else answer,),
            split=split,
            origin=origin,
        )

    generator = Generator(dimensions={}, default_slices={}, make=make, more=None, where="task gym", file=None)
    return Generated(generator, {name: {} for name in cells})


def _cells(dataset: str, chosen: GymDataset) -> dict[str, tuple[str, str]]:
    """Each slice of a dataset with its parameters as JSON, after a trial: what fails, fails here."""
    for name, values in chosen.slices.items():
        if not values or len(set(map(str, values))) < len(values):
            raise GymError(f"{name} must have different values, one or more, got {values}")
    cells: dict[str, tuple[str, str]] = {}
    for name, cell in cross(chosen.slices).items():
        found = spread(dataset, [*chosen.settings.items(), *cell.items()])
        parameters = json.dumps(found, sort_keys=True, default=str)  # YAML knows dates
        entries.draw(dataset, parameters, Random(0))
        cells[f"dataset={dataset} {name}".rstrip()] = (dataset, parameters)
    return cells
