"""What a model wrote itself and learnt keeps the problems that leak from it out of later draws."""

from typing import Any

import pytest

from configs.tasks import Shares
from engine.curate.leaks import LeakGuard
from engine.curate.unleaked import Unleaked, fresh_texts, unleaked
from engine.records import Problem
from engine.tasks.fixed import Fixed, Record
from engine.tasks.suite import DataError
from tests.support.leaks import renamed
from tests.support.suites import suite

TASKS = suite("prontoqa", {"hops": [3, 4]})


def test_problems_that_leak_from_what_was_learnt_are_drawn_anew() -> None:
    would_be = TASKS.draw(60, split="gate", seed=5)
    learnt = [renamed(would_be[7]), would_be[30].text.upper()]
    guarded = unleaked(TASKS, learnt)
    drawn = guarded.draw(60, split="gate", seed=5)
    kept = [i for i in range(60) if i not in (7, 30)]
    assert [drawn[i] for i in kept] == [would_be[i] for i in kept], "and no other is"
    assert not {would_be[7].id, would_be[30].id} & {each.id for each in drawn}
    assert len({each.id for each in drawn}) == 60
    assert drawn == unleaked(TASKS, learnt).draw(60, split="gate", seed=5), "the same when it is resumed"


def test_looks_and_exclusions_are_the_suites_own() -> None:
    would_be = TASKS.draw(60, split="gate", seed=5)
    guarded = unleaked(TASKS, [renamed(would_be[7])])
    assert guarded.slices == TASKS.slices and guarded.task is TASKS.task
    out = {would_be[41].id}
    second = guarded.draw(20, split="gate", seed=5, start=40, exclude=out)
    assert second == TASKS.draw(20, split="gate", seed=5, start=40, exclude=out)
    only = {TASKS.slices[0]: 1.0}
    assert {each.slice for each in guarded.draw(9, split="x", seed=5, weights=only)} == set(only)


def test_hardly_anything_is_drawn_anew_by_chance() -> None:
    learnt = [each.text for each in TASKS.draw(300, split="propose", seed=0)]
    before = {each.id for each in TASKS.draw(600, split="gate", seed=5)}
    after = {each.id for each in unleaked(TASKS, learnt).draw(600, split="gate", seed=5)}
    assert len(before - after) <= 6


def test_nothing_learnt_or_nothing_endless_is_left_as_it_is() -> None:
    assert unleaked(TASKS, []) is TASKS
    fixed = Fixed([Record(problem=each) for each in TASKS.draw(9, split="x", seed=0)], shares=Shares())
    assert unleaked(fixed, ["a text"]) is fixed


def test_a_suite_that_draws_what_is_excluded_is_refused() -> None:
    problems = TASKS.draw(3, split="gate", seed=5)

    class Stubborn:
        task, slices = TASKS.task, TASKS.slices

        def draw(self, num: int, **settings: Any) -> list[Problem]:
            return problems[:num]

    guarded = Unleaked(Stubborn(), LeakGuard([problems[1].text]))
    with pytest.raises(DataError, match="the draw 'gate' repeats problems that leak from what was learnt"):
        guarded.draw(3, split="gate", seed=5)


def test_fresh_texts_are_as_many_as_there_are() -> None:
    texts = fresh_texts(TASKS)
    assert set(texts) == set(TASKS.slices) and sum(map(len, texts.values())) == 2000
    assert not set(sum(texts.values(), [])) & {each.text for each in TASKS.draw(99, split="x", seed=0)}
    records = [Record(problem=each, split="train") for each in TASKS.draw(70, split="x", seed=0)]
    finite = Fixed(records, shares=Shares())
    finite.task = TASKS.task
    assert sum(map(len, fresh_texts(finite).values())) == 70
    assert fresh_texts(Fixed([], shares=Shares())) == {}
