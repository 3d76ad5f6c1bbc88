"""Whether a further reply passes is foreseen from the others, and only where lines say more than verdicts."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from engine.predict.replies import further, whole
from engine.predict.steps import Step
from engine.records import Status
from tests.support.replies import answer, problem

NUM, SAMPLES = 240, 2


def drawn(shown: Callable[[float, np.random.Generator], float], seed: int = 0):
    """Problems of all difficulties; `shown` is what a line's chance says of its problem's."""
    rng = np.random.default_rng(seed)
    problems = [problem(f"p{i}") for i in range(NUM)]
    answers, steps, chances = [], [], []
    for each in problems:
        true = float(rng.beta(0.7, 1.2))
        for sample in range(SAMPLES):
            status = Status.PASS if rng.random() < true else Status.FAIL
            steps.append(Step(len(answers), each.id, 0, 1, "mp", status is Status.PASS))
            answers.append(answer(each.id, sample, status))
            chances.append(shown(true, rng))
    return problems, answers, steps, np.array(chances)


def test_lines_that_know_more_than_verdicts_are_shown_to() -> None:
    found = further(*drawn(lambda true, rng: true), 5, 0)
    assert found is not None and found.advantage.low > 0 and found.advantage.value > 0.01
    assert len(found.chances) == NUM and all(0 < chance < 1 for chance in found.chances.values())


def test_lines_that_know_nothing_are_not() -> None:
    shown = 0
    for seed in range(5):
        found = further(*drawn(lambda true, rng: rng.random(), seed), 5, 0)
        assert found is not None and abs(found.advantage.value) < 0.01
        shown += found.advantage.low > 0
    assert shown <= 1


def test_a_reply_is_never_foreseen_from_itself() -> None:
    """Chances that only repeat a reply's own verdict say nothing about another one than that verdict."""
    problems, answers, steps, _ = drawn(lambda true, rng: 0.0)
    own = np.array([0.95 if step.valid else 0.05 for step in steps])
    found = further(problems, answers, steps, own, 5, 0)
    assert found is not None and found.advantage.low <= 0 and found.advantage.value < 0.003


def test_where_there_is_too_little_there_is_none() -> None:
    problems, answers, steps, chances = drawn(lambda true, rng: true)
    alone = [place for place, each in enumerate(answers) if each.attempt.sample == 0]
    kept = [replace_answer(steps[place], i) for i, place in enumerate(alone)]
    assert further(problems, [answers[place] for place in alone], kept, chances[alone], 5, 0) is None
    failed = [replace(each, verdict=replace(each.verdict, status=Status.FAIL)) for each in answers]
    assert further(problems, failed, steps, chances, 5, 0) is None
    assert further(problems[:3], answers[:6], steps[:6], chances[:6], 5, 0) is None
    undecided = [replace(each, verdict=replace(each.verdict, status=Status.UNDECIDED)) for each in answers]
    assert further(problems, undecided, steps, chances, 5, 0) is None


def replace_answer(step: Step, place: int) -> Step:
    return step._replace(answer=place)


def test_a_reply_is_as_likely_as_all_of_its_lines() -> None:
    steps = [Step(0, "p", 0, 1, "", True), Step(0, "p", 2, 3, "", True), Step(4, "p", 0, 1, "", False)]
    assert whole(steps, np.array([0.5, 0.5, 0.25])) == {0: 0.25, 4: 0.25}


def test_an_answer_without_lines_counts_as_one_that_does_not_pass() -> None:
    problems, answers, steps, chances = drawn(lambda true, rng: true)
    answers.append(answer("p0", SAMPLES, Status.FAIL))
    found = further(problems, answers, steps, chances, 5, 0)
    before = further(problems, answers[:-1], steps, chances, 5, 0)
    assert found is not None and before is not None
    assert found.chances["p0"] < before.chances["p0"]
    assert found.chances["p7"] == pytest.approx(before.chances["p7"], abs=0.05)
