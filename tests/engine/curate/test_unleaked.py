"""What a model wrote itself and learnt keeps the problems that leak from it out of later draws."""

from functools import cache
from typing import Any

import pytest

from configs.tasks import Shares
from engine.curate import unleaked as room
from engine.curate.leaks import FALSE_ALARMS, LeakGuard
from engine.curate.unleaked import Unleaked, fresh_texts
from engine.records import Problem
from engine.tasks.fixed import Fixed, Record
from engine.tasks.suite import DataError, Suite, guards_of, of_day
from tests.support.leaks import renamed
from tests.support.suites import suite

pytestmark = pytest.mark.slow

TASKS = suite("prontoqa", {"hops": [3, 4]})
ONE = {"hops": [3], "negation": [True], "irrelevant": [0], "distractors": [0]}


fresh_once = cache(fresh_texts)


def unleaked(suite: Suite, learnt: list[str]) -> Suite:
    return room.unleaked(suite, learnt, lambda: fresh_once(suite))


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


def test_what_a_task_guards_is_guarded_still() -> None:
    people = of_day(suite("people"), 2)
    learnt = unleaked(people, ["Where does somebody live?"])
    assert isinstance(learnt, Unleaked) and guards_of(learnt) == guards_of(people) != ()


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
    assert [*texts] == [*TASKS.slices] and {len(each) for each in texts.values()} == {2000 // len(texts)}
    assert not set(sum(texts.values(), [])) & {each.text for each in TASKS.draw(99, split="x", seed=0)}
    records = [Record(problem=each, split="train") for each in TASKS.draw(70, split="x", seed=0)]
    finite = Fixed(records, shares=Shares())
    finite.task = TASKS.task
    assert sum(map(len, fresh_texts(finite).values())) == 70
    assert fresh_texts(Fixed([], shares=Shares())) == {}


class Slow:
    """A suite whose problems each take so many seconds to make, by a clock of its own."""

    def __init__(self, suite: Suite, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.task, self.slices = suite.task, suite.slices
        self._suite, self._seconds, self.now = suite, seconds, 0.0
        self.drawn: list[str] = []
        """Slice of every problem."""
        monkeypatch.setattr(room, "thread_time", lambda: self.now)

    def draw(self, num: int, **settings: Any) -> list[Problem]:
        problems = self._suite.draw(num, **settings)
        self.now += self._seconds * num
        self.drawn += [problem.slice for problem in problems]
        return problems


def test_a_slow_task_draws_no_more_than_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(TASKS, 0.3, monkeypatch)
    texts = fresh_texts(slow)
    assert [*texts] == [""], "no slice has enough of its own"
    assert 790 < len(texts[""]) <= len(slow.drawn) < 850
    assert {slow.drawn.count(name) for name in TASKS.slices} == {len(slow.drawn) // len(TASKS.slices)}
    # However long they take, there are enough of them.
    assert fresh_texts(Slow(TASKS, 60.0, monkeypatch)) == texts
    quick = Slow(TASKS, 0.01, monkeypatch)
    assert fresh_texts(quick) == fresh_texts(TASKS) and len(quick.drawn) == 2000


def test_what_is_enough_of_one_slice_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    one = suite("prontoqa", ONE)
    (name,) = one.slices
    texts = fresh_texts(Slow(one, 0.02, monkeypatch))
    assert [*texts] == [name] and 1400 < len(texts[name]) < 1600, "half a minute of them"
    nearly = Slow(TASKS, 30.0 / (401 * len(TASKS.slices)), monkeypatch)
    assert [*fresh_texts(nearly)] == [*TASKS.slices] and len(nearly.drawn) < 2000


def test_as_few_as_that_still_hold_the_bound_of_false_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices in which nearly every problem is another one with other words: chance alone would stop many."""
    small = suite("prontoqa", {"hops": [1, 2], "irrelevant": [0], "distractors": [0]})
    protected = small.draw(200, split="gate", seed=1)
    fresh = small.draw(800, split="propose", seed=9, exclude={each.id for each in protected})

    def stopped(texts: dict[str, list[str]]) -> int:
        guard = LeakGuard([each.text for each in protected], fresh=texts)
        return sum(map(bool, guard.leaks([each.text for each in fresh], [each.slice for each in fresh])))

    assert stopped({}) > 400, "not calibrated"
    assert stopped(fresh_texts(Slow(small, 1.0, monkeypatch))) <= FALSE_ALARMS * len(fresh)


def test_a_slice_that_has_no_more_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    class Short(Slow):
        def draw(self, num: int, **settings: Any) -> list[Problem]:
            if settings["weights"][self.slices[0]] and settings["start"] >= 100:
                raise DataError("no more")
            return super().draw(num, **settings)

    texts = fresh_texts(Short(TASKS, 0.0, monkeypatch))
    sizes = [len(texts[name]) for name in TASKS.slices]
    assert 90 < sizes[0] <= 108 and sizes[1:] == [2000 // len(sizes)] * (len(sizes) - 1)
