"""The task `people`: what is asked when, in whose wordings, and what a night must not cost."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from pydantic import ValidationError

from configs.load import ConfigError, from_tree
from engine.people.decoys import invented
from engine.people.sentences import NO, UNKNOWN
from engine.people.wordings import PARTS, Part
from engine.people.world import World
from engine.records import Fact, Problem, Recall, Status
from engine.tasks import load_task, suite_of
from engine.tasks.people_questions import Material
from engine.tasks.suite import DataError, guards_of, of_day
from tests.support.people import everything, judged, people_suite

SUITE = people_suite()
WORDS = SUITE.wordings


def truth(problem: Problem) -> Recall:
    assert isinstance(problem.truth, Recall)
    return problem.truth


def values(problems: list[Problem]) -> Counter[str]:
    return Counter(phrases[0] for problem in problems for phrases in truth(problem).expected)


def is_worded_by(problem: Problem, part: Part, facts: list[Fact]) -> bool:
    """Whether a single question about one of some facts is worded as those of a part are."""
    return any(
        problem.turns[0] == WORDS.ask("single", [fact], part=part, rng=Random(seed)).turns[0]
        for fact in facts
        if f"{fact.subject}: {fact.attribute}" == problem.origin
        for seed in range(40)
    )


@pytest.mark.parametrize("day", [1, 2, 7])
@pytest.mark.parametrize(("split", "part"), [("gate", "gate"), ("carry-3", "gate"), ("select-2", "select")])
def test_the_days_facts_are_asked_once_each(day: int, split: str, part: Part) -> None:
    suite, facts = SUITE.on_day(day), SUITE.facts(day)
    problems = suite.draw(len(facts), split=split, seed=5)
    assert values(problems) == Counter(fact.value for fact in facts)
    assert all(problem.split == split and problem.slice.startswith("attribute=") for problem in problems)
    assert all(is_worded_by(problem, part, facts) for problem in problems[::8])
    with pytest.raises(
        DataError, match=rf"'{split}' needs {len(facts) + 1} questions on day {day}, but what is"
    ):
        suite.draw(len(facts) + 1, split=split, seed=5)


@pytest.mark.parametrize("split", ["gate", "probe-1", "warm-start", "sealed", "aim"])
def test_draws_are_repeatable_and_go_on_where_they_stopped(split: str) -> None:
    suite = SUITE.on_day(2)
    whole = suite.draw(36, split=split, seed=9)
    again = people_suite().on_day(2)
    assert again.draw(36, split=split, seed=9) == whole
    assert suite.draw(12, split=split, seed=9, start=12) == whole[12:24]
    assert suite.draw(36, split=split, seed=8) != whole
    assert len({problem.id for problem in whole}) == 36
    assert suite.draw(0, split=split, seed=9) == []


def test_looks_of_the_gate_ask_about_all_facts_and_further_problems_in_other_words() -> None:
    suite = SUITE.on_day(3)
    asked: list[Problem] = []
    for look in range(4):
        seen = {problem.id for problem in asked}
        asked += suite.draw(10, split="gate", seed=1, start=10 * look, exclude=seen)
    assert len({problem.origin for problem in asked}) == 40
    further = suite.draw(20, split="pass-at-k", seed=1, exclude={problem.id for problem in asked})
    assert not {problem.id for problem in further} & {problem.id for problem in asked}
    today = {f"{fact.subject}: {fact.attribute}" for fact in suite.facts(3)}
    assert {problem.origin for problem in further} <= today


def test_other_splits_ask_about_all_days_so_far() -> None:
    suite, known = SUITE.on_day(3), SUITE.known(3)
    for split, part in (("probe-3", "select"), ("baseline", "select"), ("propose", "dream")):
        problems = suite.draw(len(known), split=split, seed=0)
        assert values(problems) == Counter(fact.value for fact in known)
        assert all(is_worded_by(problem, part, known) for problem in problems[::20])
    assert len(suite.draw(3 * len(known), split="propose", seed=0)) == 3 * len(known), (
        "what is learnt may repeat"
    )
    assert len(suite.draw(5 * len(known), split="plan", seed=0)) == 5 * len(known)


def test_before_the_first_day_the_days_to_come_are_asked_about() -> None:
    assert SUITE.day == 0 and SUITE.known(0) == [] and SUITE.guards == ()
    for split, num in (("baseline", 40), ("eval", 300), ("plan", 64), ("gate", 40), ("sealed", 60)):
        assert len(SUITE.draw(num, split=split, seed=0)) == num
    assert values(SUITE.draw(40, split="baseline", seed=0)) == Counter(fact.value for fact in SUITE.facts(1))


@pytest.mark.parametrize("split", ["warm-start", "select-0"])
def test_the_warm_start_tells_no_fact_of_the_days(split: str) -> None:
    problems = SUITE.draw(300, split=split, seed=0)
    people = {person.name for day in range(1, 60) for person in SUITE.source.world.people(day)}  # type: ignore[attr-defined]
    kinds = Counter(problem.slice for problem in problems)
    assert set(kinds) == {"kind=unknown", "kind=told"} and kinds["kind=unknown"] in range(140, 220)
    for problem in problems:
        (expected,) = truth(problem).expected
        assert not any(name in problem.turns[0] for name in people)
        assert (expected == (UNKNOWN,)) == (problem.slice == "kind=unknown")
        if problem.slice == "kind=told":
            assert expected[0] in problem.turns[0]
        assert judged(problem, *problem.gold).status is Status.PASS


def test_the_sealed_part_asks_in_every_way() -> None:
    problems = SUITE.on_day(3).draw(300, split="sealed", seed=2)
    kinds = Counter(problem.slice.removeprefix("kind=") for problem in problems)
    assert set(kinds) == {
        *("single", "six_turns", "correction", "reversal"),
        *("two_step", "unknown", "interference", "talk"),
    }
    assert kinds["single"] == max(kinds.values()) and min(kinds.values()) >= 5
    lengths = {problem.slice: len(problem.turns) for problem in problems}
    assert lengths["kind=six_turns"] == 6 and lengths["kind=talk"] == 20 and lengths["kind=single"] == 1
    people = [
        {origin.split(":")[0] for origin in problem.origin.split("; ")}
        for problem in problems
        if problem.slice == "kind=six_turns"
    ]
    assert all(2 <= len(names) <= 3 for names in people)
    for problem in problems:
        assert judged(problem, *problem.gold).status is Status.PASS


@pytest.mark.parametrize("others", [0, 1])
def test_the_sealed_part_needs_no_six_facts_of_a_few_people(others: int) -> None:
    person, other = SUITE.source.strangers(2, Random(0))
    names = [*[person] * 7, *[other] * others]
    keys = sorted(WORDS.attributes)
    known = [
        Fact(subject=name, attribute=key, value=invented(WORDS.attributes[key], Random(place)))
        for place, (name, key) in enumerate(zip(names, keys, strict=False))
    ]
    material, rng = Material(SUITE.source, known), Random(1)
    kinds = {material.of_every_kind(rng).slice for _ in range(200)}
    assert "kind=single" in kinds and "kind=six_turns" not in kinds
    assert Material(SUITE.source, everything(World(1), 1)).serves("six_turns")


def test_a_question_from_a_value_to_its_person_has_one_answer() -> None:
    suite = SUITE.on_day(20)
    held = Counter((fact.attribute, fact.value) for fact in suite.known(20))
    for problem in suite.draw(400, split="sealed", seed=0):
        if problem.slice == "kind=reversal":
            ((subject,),) = truth(problem).expected
            attribute = problem.origin.split(": ")[1]
            (value,) = {
                fact.value
                for fact in suite.known(20)
                if (fact.subject, fact.attribute) == (subject, attribute)
            }
            assert held[attribute, value] == 1


def test_weights_are_of_slices() -> None:
    suite = SUITE.on_day(5)
    assert suite.slices == [f"attribute={key}" for key in WORDS.attributes]
    drawn = suite.draw(4, split="probe", seed=0, weights={"attribute=home": 1.0, "attribute=job": 0.0})
    assert {problem.slice for problem in drawn} == {"attribute=home"}
    with pytest.raises(DataError, match="asks one question a story: questions must be 1, got 2"):
        suite.draw(4, split="probe", seed=0, questions=2)


def test_no_problem_is_drawn_twice_in_what_is_learnt_and_what_is_judged() -> None:
    suite = SUITE.on_day(4)
    drawn = {
        split: {problem.id for problem in suite.draw(num, split=split, seed=0)}
        for split, num in (
            ("gate", 42),
            ("select-4", 42),
            ("propose", 160),
            ("sealed", 200),
            ("warm-start", 200),
        )
    }
    drawn["guards"] = {problem.id for guard in suite.guards for problem in guard.problems}
    # A guard asks in the gate's wordings about other facts than the day's.
    names = list(drawn)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            assert not drawn[one] & drawn[other], (one, other)


def test_guards_hold_what_was_told_before() -> None:
    assert [guard.title for guard in guards_of(SUITE.on_day(1))] == [
        "unknown vs champion",
        "unknown vs frozen",
    ]
    suite = SUITE.on_day(3)
    guards = {guard.title: guard for guard in guards_of(suite)}
    assert list(guards) == [
        "old-facts vs champion",
        "old-facts vs best",
        "corrections vs champion",
        "interference vs champion",
        "unknown vs champion",
        "unknown vs frozen",
    ]
    today = {(fact.subject, fact.attribute) for fact in suite.facts(3)}
    old = {
        f"{fact.subject}: {fact.attribute}"
        for fact in suite.known(3)
        if (fact.subject, fact.attribute) not in today
    }
    for name, guard in guards.items():
        assert 100 <= len(guard.problems) <= 120 and guard.margin
        assert all(judged(problem, *problem.gold).status is Status.PASS for problem in guard.problems)
        about = {problem.origin for problem in guard.problems}
        assert about <= old or name.startswith("unknown")
    assert {problem.origin for problem in guards["old-facts vs best"].problems} == old
    assert guards["old-facts vs best"].problems is guards["old-facts vs champion"].problems
    assert all(NO in truth(problem).expected[0] for problem in guards["corrections vs champion"].problems)
    assert all(truth(problem).expected == ((UNKNOWN,),) for problem in guards["unknown vs frozen"].problems)
    forbidden = [truth(problem).forbidden[0] for problem in guards["interference vs champion"].problems]
    told = {fact.value for fact in suite.facts(3)}
    assert all(phrases and set(phrases) <= told for phrases in forbidden)


def test_a_fact_in_several_wordings_is_one_story_and_a_guard_may_have_a_margin_of_its_own() -> None:
    suite = people_suite(margins={"old-facts": 0.15}).on_day(2)
    for guard in suite.guards:
        stories = {problem.story for problem in guard.problems}
        assert stories == {problem.origin for problem in guard.problems}
        assert (len(stories) < len(guard.problems)) is (guard.name != "unknown")
        assert guard.margin == (0.15 if guard.name == "old-facts" else 0.1)
    with pytest.raises(ValidationError, match="old-facts"):
        people_suite(margins={"old_facts": 0.15})


def test_a_value_that_was_told_wrong_and_corrected_is_the_false_premise_of_a_guard() -> None:
    suite = SUITE.on_day(4)
    corrections = [pair for day in (1, 2, 3) for pair in SUITE.source.corrections(day)]
    asked = [
        problem.turns[0]
        for guard in suite.guards
        if guard.name == "corrections"
        for problem in guard.problems
    ]
    assert corrections and all(any(wrong.value in turn for turn in asked) for wrong, _ in corrections)


def test_a_guard_asks_in_the_same_words_night_after_night() -> None:
    """Otherwise nothing could be held to the best answer ever."""
    before, after = (
        {problem.id for guard in SUITE.on_day(day).guards if guard.name == name for problem in guard.problems}
        for name in ("old-facts",)
        for day in (9, 10)
    )
    assert len(before & after) >= 90
    strangers = [
        guard.problems
        for day in (2, 9)
        for guard in SUITE.on_day(day).guards
        if guard.title == "unknown vs frozen"
    ]
    assert [problem.origin for problem in strangers[0]] == [problem.origin for problem in strangers[1]]


def test_days_are_views_of_one_suite() -> None:
    assert of_day(SUITE, 3).draw(1, split="gate", seed=0) == SUITE.on_day(3).draw(1, split="gate", seed=0)
    assert SUITE.on_day(3).task is SUITE.task and SUITE.last_day is None and SUITE.notes == ()
    assert [dialogue.day for dialogue in SUITE.dialogues(3)] == [3] * len(SUITE.dialogues(3))
    assert not set(SUITE.strangers(50, Random(0))) & set(SUITE.strangers(50, Random(0), part=PARTS[0]))


def test_settings_make_another_world() -> None:
    small = people_suite(people_a_day=3, facts_a_person=2, seed=1)
    assert len(small.source.world.told(1)) == 6  # type: ignore[attr-defined]
    assert {fact.subject for fact in small.facts(1)}.isdisjoint(fact.subject for fact in SUITE.facts(1))
    with pytest.raises(
        DataError, match="more is told with a larger task.people_a_day or task.facts_a_person"
    ):
        small.on_day(1).draw(10, split="gate", seed=0)


def test_its_figures_say_what_was_recalled() -> None:
    task = load_task("people")
    assert (task.headline, task.verifiers, [figure.key for figure in task.figures]) == (
        "passed",
        ("recall",),
        ["passed", "turns"],
    )
    (problem,) = SUITE.on_day(1).draw(1, split="gate", seed=0)
    verdict = judged(problem, "no")
    assert task.figures[1].parts(verdict) == (0.0, 1.0)  # type: ignore[union-attr]
    assert task.figures[1].parts(replace(verdict, grade=0.5)) == (0.5, 1.0)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"people_a_day": 1}, "task.people_a_day must be greater than or equal to 2, got 1"),
        ({"slices": {}}, "unknown key task.slices"),
        ({"people": "p.yaml"}, "people of your own need `people` and `dialogues`"),
        ({"dialogues": ["d.jsonl"]}, "people of your own need `people` and `dialogues`"),
        ({"templates": "t.yaml"}, "people of your own need `people` and `dialogues`"),
    ],
)
def test_a_config_that_cannot_be_meant(task: dict[str, object], message: str) -> None:
    tree = {"name": "n", "line": "l/m", "task": {"name": "people", **task}}
    with pytest.raises(ConfigError, match=message):
        from_tree(tree, "test")


def test_a_config_of_three_lines_is_a_campaign() -> None:
    config = from_tree({"name": "n", "line": "people/m", "task": {"name": "people"}}, "test")
    assert suite_of(config).task.name == "people"
