"""Task `mixture`: problems of several tasks in equal shares, each as its own task makes them."""

from collections import Counter
from typing import Any

import pytest

from configs.tasks import MixtureTask
from engine.records import Status
from engine.tasks import load_task
from engine.tasks.suite import DataError, Suite
from engine.verify import AND, load_verifier
from tests.support.proof_helpers import attempt, theory

TASKS: dict[str, Any] = {
    "prontoqa": {
        "slices": {"hops": [1, 2], "irrelevant": [0], "distractors": [0], "layout": ["ontology"]},
        "weights": {"hops=2": 3},
    },
    "formal": {"slices": {"depth": [1], "question": ["literal"]}},
}


def mixture(**tasks: Any) -> Suite:
    return load_task("mixture").open(MixtureTask(tasks=tasks or TASKS))


def test_tasks_have_equal_shares_and_slices_theirs() -> None:
    drawn = mixture()
    whole = "task=prontoqa hops={} negation={} irrelevant=0 distractors=0 layout=ontology"
    assert set(drawn.slices) == {
        *(whole.format(hops, negation) for hops in (1, 2) for negation in ("no", "yes")),
        "task=formal rule=mixed depth=1 question=literal",
    }
    problems = drawn.draw(300, split="gate", seed=0)
    counts = Counter(problem.slice.split()[0] for problem in problems)
    assert abs(counts["task=formal"] - 150) < 35
    hops = Counter(word for problem in problems for word in problem.slice.split() if word.startswith("hops"))
    assert hops["hops=2"] > 1.8 * hops["hops=1"]
    assert len({problem.id for problem in problems}) == 300
    assert {problem.task for problem in problems} == {"prontoqa", "formal"}


def test_a_draw_is_repeatable_and_leaves_out_what_is_excluded() -> None:
    first = mixture().draw(30, split="gate", seed=1)
    assert mixture().draw(30, split="gate", seed=1) == first
    assert not {p.id for p in mixture().draw(30, split="gate", seed=2)} & {p.id for p in first}
    again = mixture().draw(30, split="gate", seed=1, exclude={problem.id for problem in first})
    assert not {p.id for p in again} & {p.id for p in first}


def test_weights_of_a_draw_choose_slices() -> None:
    drawn = mixture()
    wanted = drawn.slices[0]
    assert {p.slice for p in drawn.draw(10, split="gate", seed=0, weights={wanted: 1.0})} == {wanted}


def test_only_a_task_that_asks_several_questions_a_story_does() -> None:
    problems = mixture().draw(60, split="warm-start", seed=0, questions=3)
    stories = Counter(problem.story for problem in problems if problem.story)
    asked = {problem.id: problem.task for problem in problems}
    assert stories and {asked[story] for story in stories} == {"prontoqa"}
    assert {problem.task for problem in problems} == {"prontoqa", "formal"}


def test_gold_of_every_task_passes_and_is_what_is_learnt() -> None:
    drawn = mixture()
    verify = load_verifier(AND.join(drawn.task.verifiers))
    for problem in drawn.draw(40, split="gate", seed=3):
        given = attempt(problem.gold[0])
        assert verify(problem, given).status is Status.PASS
        if theory(problem).answer != "Unknown":
            assert drawn.task.target(problem, given) == problem.gold


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"gym": {}}, "gym"),
        ({"records": {}}, "records"),
        ({"prontoqa": {"slices": {"hops": [77]}}}, r"task.slices.hops: got \[77\]"),
        ({"no-such-task": {}}, "task 'no-such-task' is neither one of"),
    ],
)
def test_tasks_that_do_not_go_together_are_refused(tasks: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        mixture(**tasks)
