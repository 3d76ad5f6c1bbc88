"""Each filter drops what it is there for, and the funnel shows how much that is and why."""

from dataclasses import replace
from typing import Any

from engine.curate.candidates import Candidate
from engine.curate.leaks import LeakGuard
from engine.curate.likeness import bags_of_words
from engine.curate.sift import sift
from engine.records import Problem, Reference, Station
from tests.support.leaks import WORD_PROBLEMS, quoted, reworded
from tests.support.suites import suite

STORY = WORD_PROBLEMS[0].text


def candidate(text: str, reply: str = "7", score: float = 0.0) -> Candidate:
    problem = Problem(
        id=text,
        task="sums",
        slice="all",
        turns=(text,),
        truth=Reference(accepted=(reply,)),
        gold=(reply,),
        split="propose",
        origin="",
    )
    return Candidate(problem=problem, replies=(reply,), score=score)


def sifted(candidates: list[Candidate], **settings: Any) -> tuple[list[Candidate], list[Station]]:
    chosen = {"guard": None, "near": False, "keep_share": 1.0, "min_distance": 0.0, "embed": None, **settings}
    kept, stations = sift(candidates, **chosen)
    assert [each.num_in for each in stations] == [len(candidates)] + [each.num_out for each in stations[:-1]]
    assert stations[-1].num_out == len(kept)
    return kept, stations


def test_filters_that_are_off_have_no_station() -> None:
    kept, stations = sifted([candidate("a b c")])
    assert len(kept) == 1 and [each.name for each in stations] == ["no duplicate"]
    assert sifted([], near=True, keep_share=0.5, min_distance=0.5, guard=LeakGuard([STORY]))[0] == []


def test_of_equal_problems_with_equal_replies_the_best_stays() -> None:
    first, second = candidate("One and two?", "3", 0.1), candidate("one AND two", "3.", 0.9)
    other, third = candidate("One and two?", "4"), candidate("Two and two?", "4")
    kept, _ = sifted([first, other, second, third])
    assert kept == [other, second, third]


def test_near_duplicates_are_dropped_but_for_the_best() -> None:
    texts = [STORY, STORY.replace("the orchard", "an orchard"), STORY.replace("36", "37"), "What is 3 + 4?"]
    kept, stations = sifted([candidate(text, score=i) for i, text in enumerate(texts)], near=True)
    assert [each.score for each in kept] == [1, 2, 3]
    assert (stations[-1].name, stations[-1].num_out) == ("no near duplicate", 3)


def test_leaks_are_counted_by_kind() -> None:
    protected = [each.text for each in WORD_PROBLEMS]
    guard = LeakGuard(protected)
    texts = [
        reworded(protected[0]),
        quoted(protected[1]),
        quoted(protected[2]),
        WORD_PROBLEMS[3].renamed,
        "New?",
    ]
    kept, stations = sifted([candidate(text) for text in texts], guard=guard)
    assert [each.problem.turns for each in kept] == [("New?",)]
    dropped = {each.name: each.num_in - each.num_out for each in stations[1:]}
    assert dropped == {"no exact leak": 1, "no passage leak": 2, "no renamed leak": 1, "no reworded leak": 0}


def test_a_protected_text_in_a_reply_is_a_leak() -> None:
    guard = LeakGuard([each.text for each in WORD_PROBLEMS])
    said = [
        candidate("Tell me a story.", reply) for reply in (STORY, quoted(STORY), WORD_PROBLEMS[0].renamed)
    ]
    assert sifted(said, guard=guard)[0] == said[2:], "other names in a reply are its own"


def test_the_funnel_says_where_a_kind_says_nothing() -> None:
    tasks = suite("prontoqa", {"hops": [2], "irrelevant": [0], "distractors": [0]})
    protected = [each.turns[0] for each in tasks.draw(200, split="gate", seed=1)]
    fresh = [each.turns[0] for each in tasks.draw(200, split="plan", seed=0)]
    _, stations = sifted([candidate("New?")], guard=LeakGuard(protected, fresh={"two": fresh}))
    assert stations[-2].name == "no renamed leak"
    assert stations[-2].why.endswith("fresh problems are as like by chance)")


def test_the_best_are_kept_in_their_order() -> None:
    made = [
        candidate(f"What is {i} + {i}?", score=score) for i, score in enumerate([0.2, 0.9, 0.5, 0.9, 0.1])
    ]
    kept, stations = sifted(made, keep_share=0.5)
    assert [each.score for each in kept] == [0.9, 0.5, 0.9]
    assert stations[-1].why == "the best 50% by score"
    ten = [candidate(f"What is {i} + {i}?") for i in range(10)]
    assert sifted(ten, keep_share=0.7)[0] == ten[:7], "of equals the first"


def test_of_equal_grades_the_likelier_are_kept() -> None:
    """A verifier that passes only full marks grades all alike, and the order says nothing."""
    made = [
        replace(candidate(f"What is {i} + {i}?", score=1.0), loss=loss)
        for i, loss in enumerate([9.0, 0.5, 0.0, 3.0, 0.7, 8.0])
    ]
    assert [each.loss for each in sifted(made, keep_share=0.5)[0]] == [0.5, 3.0, 0.7]
    better = [*made, candidate("What is 8 + 8?", score=1.5)]
    assert sifted(better, keep_share=0.2)[0] == [made[1], better[-1]]


def test_what_lies_too_near_to_something_better_is_dropped() -> None:
    alike = [
        "red ships sail over the wide sea",
        "blue ships sail over the wide sea",
        "carts cross the dry land",
    ]
    made = [candidate(text, score=i) for i, text in enumerate(alike)]
    for embed, distance in ((bags_of_words(alike), 0.6), (None, 0.4)):
        kept, stations = sifted(made, min_distance=distance, embed=embed)
        assert kept == made[1:] and stations[-1].name == "diversity"
    assert sifted(made, min_distance=0.05)[0] == made
