"""Found slices: when they are looked for, and how problems of some of them are drawn."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.loops import ErrorDriven, OakDpo
from configs.tasks import Shares
from engine.measure.clusters import Clusters
from engine.records import Cluster, Problem
from engine.tasks.fixed import Fixed, Record
from engine.tasks.suite import Suite
from loops.weak import draw_found, embed_of, mining_of, num_clusters
from tests.support.provers import config_of
from tests.support.suites import suite

TASKS = suite("prontoqa", {"hops": [1, 2, 3], "negation": [True], "irrelevant": [0], "distractors": [0]})
ONE = suite("prontoqa", {"hops": [3], "negation": [True], "irrelevant": [0], "distractors": [0]})


def by_length(texts: Sequence[str]) -> np.ndarray:
    return np.eye(8)[[text.count("\n") - 1 for text in texts]]


CLUSTERS = Clusters(
    [
        Cluster(name=name, centre=tuple(np.eye(8)[at]), places=())
        for name, at in (("a", 1), ("b", 2), ("c", 3))
    ],
    by_length,
)


class Counted:
    """A suite that counts what is drawn of it."""

    def __init__(self, suite: Suite) -> None:
        self.suite, self.task, self.slices = suite, suite.task, suite.slices
        self.calls: list[int] = []

    def draw(self, num: int, **settings: Any) -> list[Problem]:
        self.calls.append(num)
        return self.suite.draw(num, **settings)


@pytest.mark.parametrize(("clusters", "of_one", "of_several"), [("auto", 8, 0), ("none", 0, 0), (5, 5, 5)])
def test_slices_are_looked_for_where_the_task_names_none(clusters: Any, of_one: int, of_several: int) -> None:
    settings = ErrorDriven(clusters=clusters)
    assert (num_clusters(settings, ONE, 96), num_clusters(settings, TASKS, 96)) == (of_one, of_several)


def test_embeddings_are_at_hand_in_error_driven_rounds() -> None:
    """They show how far replies lie apart, whatever else the round needs them for."""
    for loop in ({}, {"clusters": "none"}):
        assert embed_of(config_of(Path("base"), loop)) is not None
    assert embed_of(config_of(Path("base"), {}).model_copy(update={"loop": OakDpo()})) is None


def test_other_loops_are_mined_by_the_defaults() -> None:
    assert mining_of(config_of(Path("base"), {"clusters": 7})).clusters == 7
    own = config_of(Path("base"), {}).model_copy(update={"loop": None})
    assert mining_of(own) == ErrorDriven()


def names_of(found: Sequence[tuple[Problem, str]]) -> Counter[str]:
    assert CLUSTERS.assign([problem.text for problem, _ in found]) == [name for _, name in found]
    assert len({problem.id for problem, _ in found}) == len(found)
    return Counter(name for _, name in found)


def test_problems_of_found_slices_are_drawn_until_there_are_enough() -> None:
    counted, out = Counted(TASKS), {TASKS.draw(1, split="aim-1", seed=3)[0].id}
    found = draw_found(counted, CLUSTERS, {"a": 6, "c": 12}, split="aim-1", seed=3, exclude=out)
    assert names_of(found) == {"a": 6, "c": 12}
    assert {problem.slice[:6] for problem, name in found if name == "c"} == {"hops=3"}, "as the task names it"
    assert not {problem.id for problem, _ in found} & out
    assert set(counted.calls) == {18} and len(counted.calls) < 5
    assert found == draw_found(TASKS, CLUSTERS, {"a": 6, "c": 12}, split="aim-1", seed=3, exclude=out)


def test_a_found_slice_that_hardly_comes_up_is_not_looked_for_without_end() -> None:
    counted = Counted(ONE)
    assert draw_found(counted, CLUSTERS, {"a": 10}, split="aim-1", seed=3, exclude=frozenset()) == []
    assert counted.calls == [10] * 8


def test_records_are_drawn_once_each() -> None:
    problems = TASKS.draw(40, split="x", seed=0)
    finite = Fixed([Record(problem=each, split="train") for each in problems], shares=Shares())
    finite.task = TASKS.task
    out = {problem.id for problem in problems[:10]}
    found = draw_found(finite, CLUSTERS, {"a": 30, "b": 30, "c": 30}, split="aim-1", seed=0, exclude=out)
    assert names_of(found).total() == 40, "what is excluded comes last"
    few = draw_found(finite, CLUSTERS, {"a": 3, "b": 3}, split="aim-1", seed=0, exclude=out)
    assert names_of(few) == {"a": 3, "b": 3} and not {problem.id for problem, _ in few} & out
