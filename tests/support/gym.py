"""Problems of every dataset of reasoning-gym that serves, and replies that must not pass."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from configs.tasks import GymTask
from engine.gym.served import SERVED
from engine.records import Problem, Reference, to_json
from engine.tasks import load_task
from engine.tasks.suite import Suite

SMALL: Mapping[str, Mapping[str, Any]] = {
    "futoshiki": {"board_size": 4, "difficulty": 0},
    "sokoban": {"min_boxes": 2, "max_boxes": 3, "max_w": 7, "max_h": 7},
}
"""Settings that make a problem in less time, where the defaults take hundreds of milliseconds."""

FEW: Mapping[str, int] = {"tower_of_hanoi": 60}
"""Datasets that have no more than a hundred problems, with how many of them are asked for at most."""


def gym_suite(dataset: str = "spell_backward", **chosen: Any) -> Suite:
    return load_task("gym").open(GymTask(dataset=dataset, **chosen))


@cache
def problems_of(dataset: str, num: int = 3) -> Sequence[Problem]:
    """The first problems of a dataset, with its defaults or `SMALL` settings."""
    return gym_suite(dataset, settings=dict(SMALL.get(dataset, {}))).draw(
        min(num, FEW.get(dataset, num)), split="test", seed=0
    )


def digests(datasets: Iterable[str] = SERVED, num: int = 3) -> dict[str, str]:
    """A hash of all that the first problems of each dataset hold."""
    return {
        name: hashlib.sha256("\n".join(map(to_json, problems_of(name, num))).encode()).hexdigest()
        for name in datasets
    }


def corrupted(problem: Problem, other: Problem) -> list[str]:
    """Replies to `problem` that are wrong, or no answer, whatever the dataset; `other` is of the same one."""
    (gold,) = problem.gold
    assert isinstance(problem.truth, Reference)
    has_one_answer = not SERVED[problem.truth.extra["dataset"]].answer_in
    answers = [other.gold[0]] if has_one_answer and other.gold != problem.gold else []
    return ["", "zzz", f"zzz {gold}", f"{gold} zzz", "I think that it is so, because of A and B.", *answers]
