"""Semantic scoring: a threshold that wrong replies seldom reach, and where it differs from exact scoring."""

from dataclasses import replace

import numpy as np
import pytest

from engine.measure.semantic import compare, panel_of, threshold_of
from engine.records import Answer, Attempt, Finish, Problem, Reference, Status, Verdict
from tests.support.bag_of_words import bag_of_words

NAMES = [f"name{place}" for place in range(40)]


def asked(name: str, *gold: str, kind: str = "year") -> Problem:
    return Problem(
        id=name,
        task="people",
        slice=kind,
        turns=tuple(f"What of {name}, turn {turn}?" for turn, _ in enumerate(gold)),
        truth=Reference(accepted=gold),
        gold=gold,
        split="sealed",
        origin="",
    )


def replied(problem: Problem, *replies: str, status: Status = Status.PASS) -> Answer:
    attempt = Attempt(
        problem_id=problem.id,
        model_id="m",
        sample=0,
        replies=replies,
        num_prompt_tokens=1,
        num_tokens=1,
        finish=Finish.STOP,
    )
    verdict = Verdict(
        problem_id=problem.id,
        sample=0,
        status=status,
        right=status is Status.PASS,
        answer="",
        fault="none",
        verifier="v",
        reason="",
    )
    return Answer(attempt=attempt, verdict=verdict)


BORN = [asked(name, f"{name} was born in {1900 + place}") for place, name in enumerate(NAMES)]
GOLD = [problem.gold[0] for problem in BORN]


def test_few_wrong_gold_replies_pass_the_threshold() -> None:
    limit = threshold_of(GOLD, ["year"] * 40, bag_of_words)
    rows = bag_of_words(GOLD)
    wrong = [float(rows[place] @ rows[(place + 1) % 40]) for place in range(40)]
    assert sum(cosine > limit for cosine in wrong) <= 2 and limit < 1
    # Three of five words are shared with any other one.
    assert limit == pytest.approx(3 / 5, abs=0.25)


def test_wrong_gold_replies_are_of_the_same_kind() -> None:
    places = [f"{name} lives at number{place}" for place, name in enumerate(NAMES)]
    alone = threshold_of(GOLD, ["year"] * 40, bag_of_words)
    assert threshold_of(GOLD + places, ["year"] * 40 + ["home"] * 40, bag_of_words) == pytest.approx(
        alone, abs=0.1
    )
    # A kind of which all replies are equal is held against the others.
    same = ["I don't know."] * 5
    assert threshold_of(GOLD[:2] + same, ["year"] * 2 + ["unknown"] * 5, bag_of_words) < 1


def test_without_two_replies_nothing_can_be_told_apart() -> None:
    assert threshold_of(["a", "a"], ["k", "k"], bag_of_words) == 1.0 == threshold_of([], [], bag_of_words)
    nothing = compare([], [], bag_of_words)
    assert not nothing.scored and panel_of(nothing).note.startswith("0 of 0 answers")


def test_where_the_two_differ_both_are_shown() -> None:
    answers = [replied(problem, problem.gold[0]) for problem in BORN]
    # Nearly the right words with a wrong year, and the right year in few words.
    answers[0] = replied(BORN[0], GOLD[0].replace("1900", "1867"), status=Status.FAIL)
    answers[1] = replied(BORN[1], "1901!")
    answers[2] = replied(BORN[2], "so sorry", status=Status.FAIL)
    answers[3] = replied(BORN[3], "?", status=Status.UNDECIDED)
    semantic = compare(BORN, answers, bag_of_words)
    assert len(semantic.scored) == 39
    assert [each.problem.id for each in semantic.semantic_only] == ["name0"]
    assert [each.problem.id for each in semantic.exact_only] == ["name1"]
    panel = panel_of(semantic)
    assert panel.rows[1][:3] == ("by meaning", BORN[0].turns[0], "name0 was born in 1867")
    assert panel.rows[2][0] == "exactly" and len(panel.rows) == 3
    assert panel.note.startswith("37 of 39 answers are right exactly, 37 by meaning")
    assert "differ on 5.1%: 1 are right by meaning only, 1 exactly only" in panel.note


def test_every_turn_must_be_near() -> None:
    talks = [asked(f"talk{place}", GOLD[place], GOLD[place + 1]) for place in range(20)]
    answers = [replied(talk, *talk.gold) for talk in talks]
    answers[4] = replied(talks[4], GOLD[4], "something else entirely", status=Status.FAIL)
    scored = compare(talks, answers, bag_of_words).scored
    assert [each.semantic for each in scored] == [place != 4 for place in range(20)]
    assert scored[4].turn == 1 and scored[4].cosine < scored[3].cosine


def test_examples_are_few_and_short() -> None:
    answers = [replied(problem, "x" * 900) for problem in BORN]
    panel = panel_of(compare(BORN, answers, bag_of_words))
    assert len(panel.rows) == 4 and max(len(text) for row in panel.rows for text in row) == 200


def test_problems_without_a_gold_reply_are_left_out() -> None:
    problems = [replace(BORN[0], gold=()), *BORN[1:]]
    semantic = compare(problems, [replied(each, "x") for each in problems], bag_of_words)
    assert len(semantic.scored) == 39


@pytest.mark.slow
def test_real_embeddings_take_a_wrong_year_for_a_right_one() -> None:
    """What the panel is there to show."""
    from engine.embeddings import embedder

    embed = embedder()
    people = ["Ann Redwick", "Tom Hallbury", "Eve Norford", "Max Oakshaw", "Zoe Elmland", "Ida Fenwick"]
    problems = [asked(name, f"{name} was born in {1930 + 7 * i}.") for i, name in enumerate(people)]
    answers = [
        replied(problem, problem.gold[0].replace("19", "18"), status=Status.FAIL) for problem in problems
    ]
    semantic = compare(problems, answers, embed)
    assert isinstance(embed(["a"]), np.ndarray) and len(semantic.semantic_only) >= 4
