"""The leak guard stops planted leaks of every kind, and stops hardly a fresh problem."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from configs.tasks import Shares
from engine.curate.leaks import FALSE_ALARMS, SUSPECT_SHARE, Leak, LeakGuard
from engine.curate.unleaked import fresh_texts
from engine.embeddings import embedder
from engine.records import Problem
from engine.tasks.fixed import Fixed, Record
from engine.tasks.suite import Suite
from tests.support.gym import gym_suite
from tests.support.leaks import PLANT, WORD_PROBLEMS, quoted, reworded
from tests.support.suites import suite

pytestmark = pytest.mark.slow

LONG = {"hops": [3, 4], "negation": [False, True]}
"""Problems with so many forms that two seldom have the same by chance."""
SMALL = {"hops": [1, 2], "negation": [False, True], "irrelevant": [0], "distractors": [0]}
"""Problems of which nearly every one is another with other words."""
SLICES: dict[str, dict[str, list[int | bool | str]]] = {"default": {}, "long": LONG, "small": SMALL}


def guard_of(problems: list[Problem], of: Suite) -> LeakGuard:
    return LeakGuard([each.text for each in problems], fresh=fresh_texts(of))


def false_alarms(guard: LeakGuard, of: Suite, protected: list[Problem], num: int) -> Counter[str]:
    fresh = of.draw(num, split="propose", seed=9, exclude={each.id for each in protected})
    leaks = guard.leaks([each.text for each in fresh], [each.slice for each in fresh])
    return Counter(leak.kind for leak in leaks if leak)


@cache
def guarded(slices: str) -> tuple[Suite, list[Problem], LeakGuard]:
    """A suite, protected problems of it, and their guard, of which much is calibrated as it is made."""
    tasks = suite("prontoqa", SLICES[slices])
    problems = tasks.draw(300, split="gate", seed=1)
    return tasks, problems, guard_of(problems, tasks)


@pytest.mark.parametrize(
    ("way", "kind"),
    [(kind, kind) for kind in ("exact", "ngram", "renamed")]
    + [("shuffled", "reworded"), ("paraphrased", "reworded")],
)
def test_a_planted_leak_of_each_kind_is_stopped(way: str, kind: str) -> None:
    _, problems, guard = guarded("long")
    planted = [PLANT[way](problem) for problem in problems]
    leaks = guard.leaks(planted, [problem.slice for problem in problems])
    assert [leak and leak.of for leak in leaks] == list(range(len(problems)))
    # A few premises may stay in their order, so that what is shuffled can share a passage.
    assert sum(leak.kind == kind for leak in leaks if leak) >= 0.9 * len(leaks)


@pytest.mark.parametrize("slices", SLICES)
def test_hardly_a_fresh_problem_is_stopped(slices: str) -> None:
    tasks, protected, guard = guarded(slices)
    assert false_alarms(guard, tasks, protected, 1000).total() <= 1000 * FALSE_ALARMS


@pytest.mark.parametrize("dataset", ["leg_counting", "chain_sum"])
def test_hardly_a_fresh_problem_of_the_gym_is_stopped(dataset: str) -> None:
    tasks = gym_suite(dataset)
    protected = tasks.draw(300, split="gate", seed=1)
    assert false_alarms(guard_of(protected, tasks), tasks, protected, 1000).total() <= 1000 * FALSE_ALARMS


def test_where_chance_makes_problems_alike_renaming_shows_nothing_and_the_guard_says_so() -> None:
    _, problems, guard = guarded("small")
    assert guard.silence("renamed").startswith("asks for more than ")
    assert guard.silence("renamed").endswith("in 4 of 4 slices, because fresh problems are as like by chance")
    two_hops = [each for each in problems if each.slice.startswith("hops=2")]
    assert not any(guard.leak(PLANT["renamed"](each), each.slice) for each in two_hops)
    # What is the very same is stopped everywhere.
    assert guard.silence("exact") == ""
    assert all(guard.leak(PLANT["exact"](each), each.slice) for each in problems)


def finite(learnt: list[Problem], judged: list[Problem]) -> Fixed:
    records = [Record(problem=each, split="train") for each in learnt]
    return Fixed([*records, *(Record(problem=each, split="gate") for each in judged)], shares=Shares())


def test_no_record_vouches_for_itself() -> None:
    """A finite task has no other texts to calibrate by than those that are to be learnt, leaks among them."""
    tasks = suite("prontoqa", LONG)
    judged = tasks.draw(100, split="gate", seed=1)
    learnt = tasks.draw(200, split="propose", seed=9, exclude={each.id for each in judged})
    ways = list(PLANT.values())
    leaking = [
        replace(each, id=f"leak {i}", turns=(ways[i % len(ways)](each),))
        for i, each in enumerate(judged[: 2 * len(ways)])
    ]
    own = finite([*learnt, *leaking], judged)
    guard = LeakGuard([each.text for each in judged], fresh=fresh_texts(own), suspect=True)
    found = guard.leaks([each.text for each in leaking], [each.slice for each in leaking])
    assert [leak and leak.of for leak in found] == list(range(len(leaking)))
    assert {leak.kind for leak in found if leak} == {"exact", "ngram", "renamed", "reworded"}
    others = guard.leaks([each.text for each in learnt], [each.slice for each in learnt])
    assert sum(map(bool, others)) <= SUSPECT_SHARE * len(learnt)


def test_records_that_are_alike_by_chance_are_mostly_learnt_and_the_guard_says_so() -> None:
    tasks = suite("prontoqa", SMALL)
    judged = tasks.draw(200, split="gate", seed=1)
    learnt = tasks.draw(300, split="propose", seed=9, exclude={each.id for each in judged})
    guard = LeakGuard([each.text for each in judged], fresh=fresh_texts(finite(learnt, judged)), suspect=True)
    leaks = guard.leaks([each.text for each in learnt], [each.slice for each in learnt])
    assert sum(map(bool, leaks)) <= 3 * SUSPECT_SHARE * len(learnt)
    assert "more than 10% of the records to learn from are as like" in guard.silence("renamed")


def test_a_passage_of_a_template_stands_in_many_records() -> None:
    passage = "It is well known that the light of the sun is a mixture of rays of every colour: "
    judged = [f"{passage}so Newton says in the {number} book" for number in ("first", "second")]
    few, many = ([f"{passage}{'very ' * i}true" for i in range(num)] for num in (3, 30))
    for texts, leaks in ((few, True), (many, False)):
        others = [f"Nothing but number {i} was seen here on that day." for i in range(300)]
        guard = LeakGuard(judged, fresh={"": [*texts, *others]}, suspect=True)
        assert (guard.leaks([texts[0]], [""], ["ngram"]) != [None]) is leaks


def test_planted_leaks_of_the_gym_are_stopped() -> None:
    tasks = gym_suite("leg_counting", settings={"min_animals": 7})
    problems = tasks.draw(100, split="gate", seed=1)
    guard = guard_of(problems, tasks)
    for i, problem in enumerate(problems):
        text = problem.text
        renamed = re.sub(r"(?<=\d )[\w ]+(?=[,?])", "yaks", text, count=1)
        assert renamed != text
        for kind, said in (("exact", reworded(text)), ("ngram", quoted(text))):
            leak = guard.leak(said, problem.slice)
            assert leak and (leak.kind, leak.of) == (kind, i), said
        assert guard.leak(renamed, problem.slice)


@pytest.mark.parametrize("problem", WORD_PROBLEMS)
def test_planted_leaks_of_word_problems_are_stopped(problem: tuple[str, str, str]) -> None:
    texts = [each.text for each in WORD_PROBLEMS]
    guard, place = LeakGuard(texts), texts.index(problem[0])
    for kind, said in (
        ("exact", reworded(problem[0])),
        ("ngram", quoted(problem[0])),
        ("renamed", problem[1]),
    ):
        leak = guard.leak(said)
        assert leak and (leak.kind, leak.of) == (kind, place), said


def test_other_symbols_and_other_numbers_are_no_exact_leak() -> None:
    guard = LeakGuard(["What is 12 + 34?"])
    assert guard.leak("what  is 12+34") == Leak(kind="exact", of=0)
    others = [f"What is {asked}?" for asked in ("12 - 34", "12 + 35", "1.2 + 34", "34 + 12")]
    assert guard.leaks(others, [""] * 4) == [None] * 4
    assert guard.leak("Compute 12 + 34") == Leak(kind="reworded", of=0)


def test_names_must_be_renamed_throughout() -> None:
    guard = LeakGuard(
        ["Each wumpus is a tumpus. Max is a wumpus. True or false: Max is an impus or a tumpus."]
    )
    for said, leaks in (
        ("Each dax is a blicket. Tom is a dax. True or false: Tom is a fep or a blicket.", True),
        ("Each aardvark is an ant. Eve is an aardvark. True or false: Eve is an owl or an ant.", True),
        ("Each dax is a blicket. Tom is a dax. True or false: Tom is a fep or a dax.", False),
        ("Each dax is a blicket. Tom is a fep. True or false: Tom is a fep or a blicket.", False),
        ("Each dax is not a blicket. Tom is a dax. True or false: Tom is a fep or a blicket.", False),
    ):
        assert (leak is not None and leak.kind == "renamed" if (leak := guard.leak(said)) else False) is leaks


def test_a_short_question_about_something_else_is_no_renaming() -> None:
    guard = LeakGuard(["What is the capital of France?", "Who wrote Hamlet?", "What is 3 + 4?"])
    for said in (
        "What is the capital of Spain?",
        "Who painted Guernica?",
        "What is 5 + 6?",
    ):
        assert guard.leak(said) is None


def test_what_stands_in_every_problem_is_no_passage() -> None:
    template = "Read the following lines with care and then tell us in a single word what they are about: "
    tails = [f"the {a} {b}" for a in ("red", "green", "blue") for b in ("ship", "house", "cart", "tree")]
    texts = [template + tail for tail in tails]
    unlike = template + "a song of old"
    assert LeakGuard(texts[:5]).leak(unlike) is not None, "nothing shows that it is a template"
    assert LeakGuard(texts[:5], fresh={"": texts[5:]}).leak(unlike) is None
    assert LeakGuard(texts).leak(unlike) is None, "it stands in a dozen protected texts"


def cosines(texts: Sequence[str]) -> np.ndarray:
    """An `Embed` by which the cosine of a text that is a number with the text ``1`` is that number."""
    numbers = np.array([float(text) for text in texts])
    return np.stack([numbers, np.sqrt(1 - numbers**2)], axis=1)


def numbers(num: int, most: float) -> list[str]:
    """So many numbers in equal steps up to `most`, in an order of their own."""
    return [f"{most - 0.0004 * (7 * i % num):.4f}" for i in range(num)]


@pytest.mark.parametrize(("num", "beyond"), [(50, 0), (1800, 0), (1950, 1)])
def test_a_threshold_lies_above_nearly_all_fresh_texts(num: int, beyond: int) -> None:
    guard = LeakGuard(["1"], embed=cosines, fresh={"": numbers(num, 0.9)})
    assert guard.threshold("semantic") == pytest.approx(0.9 - 0.0004 * beyond, abs=1e-6)
    stopped = guard.leaks(numbers(num, 0.9), [""] * num, ["semantic"])
    assert sum(leak is not None for leak in stopped) == beyond


def test_a_threshold_is_raised_where_it_must_be() -> None:
    low = LeakGuard(["1"], embed=cosines, fresh={"a": numbers(300, 0.7)})
    assert low.threshold("semantic", "a") == LeakGuard(["1"], embed=cosines).threshold("semantic") == 0.85
    assert low.silence("semantic") == ""
    fresh = {
        "a": numbers(300, 0.95),
        "b": numbers(300, 0.875),
        "few": numbers(20, 0.9),
        "c": numbers(100, 0.7),
    }
    guard = LeakGuard(["1"], embed=cosines, fresh=fresh)
    for name, least in (("a", 0.95), ("b", 0.875), ("c", 0.85), ("few", 0.95), ("unknown", 0.95)):
        assert guard.threshold("semantic", name) == pytest.approx(least, abs=1e-6), name
    assert guard.silence("semantic").startswith("asks for more than 0.95 instead of 0.85 in 2 of 3 slices")


def test_a_kind_is_switched_off_where_nothing_would_be_like_enough() -> None:
    fresh = {"a": numbers(300, 1), "b": numbers(300, 0.7)}
    guard = LeakGuard(["1"], embed=cosines, fresh=fresh)
    assert guard.leaks(fresh["a"], ["a"] * 300) == [None] * 300
    assert guard.leak("0.95", "b") == Leak(kind="semantic", of=0)
    assert guard.silence("semantic") == (
        "says nothing in 'a' (1 of 2 slices), where fresh problems are as like by chance"
    )


def test_nothing_leaks_from_nothing() -> None:
    guard = LeakGuard([], embed=cosines, fresh={"": ["What is 12 + 34?"]})
    assert guard.leak("What is 12 + 34?") is None and guard.kinds == ("exact", "ngram", "renamed")
    assert not any(guard.silence(kind) for kind in guard.kinds)
    assert LeakGuard(["?!"]).leak("…") is None and LeakGuard(["?!"]).leak("?!") is not None


@pytest.mark.parametrize("place", range(len(WORD_PROBLEMS)))
def test_paraphrases_are_stopped_by_their_words(place: int) -> None:
    texts = [each.text for each in WORD_PROBLEMS]
    assert LeakGuard(texts).leak(WORD_PROBLEMS[place].paraphrase) == Leak(kind="reworded", of=place)
    others = LeakGuard(texts[:place] + texts[place + 1 :])
    assert others.leak(texts[place]) is None, "another story is no paraphrase"


@pytest.mark.slow
def test_paraphrases_are_stopped_by_their_meaning() -> None:
    embed = embedder()
    texts = [each.text for each in WORD_PROBLEMS]
    near = [each.paraphrase for each in WORD_PROBLEMS][:-1]
    guard = LeakGuard(texts, embed=embed)
    found = [Leak(kind="semantic", of=i) for i in range(len(near))]
    assert guard.leaks(near, [""] * len(near), ["semantic"]) == found
    for i, text in enumerate(texts):
        others = LeakGuard(texts[:i] + texts[i + 1 :], embed=embed)
        assert others.leak(text) is None, "another story is no paraphrase"
