"""Replies as the verifier `recall` reads them, and people of a few days, for tests of several rooms."""

from dataclasses import replace

from configs.tasks import PeopleTask
from engine.people.sentences import problem
from engine.people.world import World
from engine.records import Fact, Problem, Verdict
from engine.tasks import load_task
from engine.tasks.people import PeopleSuite
from engine.verify import recall
from tests.support.proof_helpers import attempt


def asked(
    question: str, *expected: str, gold: str = "", forbidden: tuple[str, ...] = (), turns: int = 1
) -> Problem:
    """A question, put `turns` times, whose reply must hold some phrases and none of others."""
    return problem([], [question] * turns, [gold] * turns, [expected] * turns, [forbidden] * turns)


def judged(asked: Problem, *replies: str) -> Verdict:
    return recall.verify(asked, replace(attempt(""), problem_id=asked.id, replies=replies))


def everything(world: World, *days: int) -> list[Fact]:
    """All that is true of the people of some days, told or not."""
    return [
        Fact(subject=person.name, attribute=key, value=value)
        for day in days
        for person in world.people(day)
        for key, value in person.life.items()
    ]


def people_suite(**settings: object) -> PeopleSuite:
    suite = load_task("people").open(PeopleTask.model_validate({"name": "people", **settings}))
    assert isinstance(suite, PeopleSuite)
    return suite
