"""What a suite may offer besides its draws: days, what is known by then, and what is guarded."""

from typing import Any

from engine.tasks.suite import Guard, guarded_problems, guards_of, num_told, of_day
from tests.support.suites import suite


def test_a_task_without_days_is_the_same_on_every_day() -> None:
    timeless = suite()
    assert of_day(timeless, 3) is timeless
    assert num_told(timeless, 3) == 0 and guards_of(timeless) == () and not guarded_problems(timeless)


def test_a_task_with_days_grows_and_guards_what_was_told() -> None:
    people = suite("people")
    first, third = of_day(people, 1), of_day(people, 3)
    assert num_told(first, 1) == 40 and num_told(third, 3) == 120
    assert {guard.name for guard in guards_of(first)} < {guard.name for guard in guards_of(third)}
    titles = [guard.title for guard in guards_of(third)]
    assert len(set(titles)) == len(titles) and "old-facts vs best" in titles
    assert guarded_problems(first) < guarded_problems(first) | guarded_problems(third)
    assert third.task == people.task


def test_a_guard_without_problems_is_left_out() -> None:
    class Guarding:
        guards = (Guard(name="empty", problems=()), Guard(name="some", problems=tuple(problems())))

    some: Any = Guarding()
    assert [guard.name for guard in guards_of(some)] == ["some"]
    assert guarded_problems(some) == {problem.id for problem in problems()}
    assert Guard(name="a", problems=(), against="best").title == "a vs best"


def problems() -> list[Any]:
    return suite().draw(2, split="guard", seed=1)
