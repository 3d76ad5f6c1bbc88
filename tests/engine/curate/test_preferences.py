"""Training data from verified attempts: scores, pairs, kept proofs, and where every completion went."""

import random
from dataclasses import replace

import pytest

from configs.schema import Propose
from engine.curate.preferences import build, score, training_set
from engine.logic.proof_check import prune
from engine.records import Answer, Problem, Status, TrainingRow, TrainingSet
from engine.verify import rules
from tests.support.proof_helpers import CHAIN, PROOF, attempt, problem

ASKED = problem(CHAIN, "Max is sour.", "False", notation="english")
HALF = PROOF.replace("Max is not sour. [2 5 mp]", "Max is sour. [2 5 mp]")
"""One valid step of two, right answer: 0.5 + 1."""
DETOUR = PROOF.replace(
    "Max is not sour. [2 5 mp] [6]", "Max is a vumpus. [3 5 mp] [6]\nMax is not sour. [2 5 mp] [7]"
)
WRONG_SIDE = PROOF.replace("Answer: False", "Answer: True")
GARBAGE = "I think that Max is sour."
NO_ANSWER = "Max is a tumpus. [1 4 mp] [5]"
ONLY_ANSWER = "Answer: False"


def judged(text: str, asked: Problem = ASKED, sample: int = 0) -> Answer:
    given = attempt(text, problem_id=asked.id, sample=sample)
    return Answer(attempt=given, verdict=rules.verify(asked, given))


def undecided(text: str) -> Answer:
    """As the pool gives it, but with every figure set as if it were the best answer of all."""
    good = judged(text)
    return replace(good, verdict=replace(good.verdict, status=Status.UNDECIDED))


def made(
    *texts: str | Answer, method: str = "dpo", seen: frozenset[str] = frozenset(), **settings
) -> TrainingSet:
    answers = [judged(each, sample=i) if isinstance(each, str) else each for i, each in enumerate(texts)]
    return build(
        [ASKED],
        answers,
        config=Propose(samples=len(texts), **settings),
        method=method,
        system="Prove.",
        seen_by_judges=seen,
        target=prune,
    )


def pairs(data: TrainingSet) -> list[tuple[str, str]]:
    return [(row.chosen, row.rejected) for row in data.rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PROOF, 2.5),
        (DETOUR, 2.5),
        (HALF, 1.5),
        (WRONG_SIDE, 1.0),
        (NO_ANSWER, 1.0),
        (ONLY_ANSWER, 1.0),
        (GARBAGE, 0.0),
        ("", 0.0),
    ],
)
def test_the_score_is_that_of_sokrates(text: str, expected: float) -> None:
    assert score(judged(text).verdict) == expected


def test_repeating_a_step_raises_no_score() -> None:
    padded = PROOF.replace(
        "\nAnswer", "\nMax is a tumpus. [1 4 mp] [7]\nMax is a tumpus. [1 4 mp] [8]\nAnswer"
    )
    assert score(judged(padded).verdict) == pytest.approx(2 / 4 + 1)


def test_the_best_is_paired_with_every_worse_one() -> None:
    data = made(GARBAGE, HALF, PROOF, WRONG_SIDE)
    assert pairs(data) == [(PROOF, HALF), (PROOF, WRONG_SIDE), (PROOF, GARBAGE)]
    assert data.funnel and data.funnel.rows == 3 and data.num_rehearsal == 0
    assert data.rows[0].prompt == ASKED.prompt and data.rows[0].system == "Prove."


def test_equally_good_answers_make_no_pair() -> None:
    data = made(PROOF, DETOUR)
    assert data.rows == () and data.funnel and data.funnel.trivial_problems == 1


def test_the_gap_must_be_reached() -> None:
    assert pairs(made(PROOF, HALF, GARBAGE, min_gap=1.01)) == [(PROOF, GARBAGE)]
    assert pairs(made(PROOF, HALF, GARBAGE, min_gap=1.0)) == [(PROOF, HALF), (PROOF, GARBAGE)]


def test_what_did_not_pass_is_never_chosen() -> None:
    data = made(HALF, GARBAGE, WRONG_SIDE)
    assert data.rows == () and data.funnel and data.funnel.unsolved_problems == 1


def test_the_chosen_proof_is_pruned_to_what_it_needs() -> None:
    assert pairs(made(DETOUR, GARBAGE)) == [(PROOF, GARBAGE)]


def test_answer_only_is_the_ablation_that_looks_at_answers_alone() -> None:
    data = made(GARBAGE, ONLY_ANSWER, HALF, WRONG_SIDE, preference="answer_only")
    assert pairs(data) == [(ONLY_ANSWER, GARBAGE), (ONLY_ANSWER, WRONG_SIDE)]
    assert made(GARBAGE, WRONG_SIDE, preference="answer_only").rows == ()


def test_flip_swaps_chosen_and_rejected() -> None:
    assert pairs(made(PROOF, GARBAGE, flip=True)) == [(GARBAGE, PROOF)]


@pytest.mark.parametrize("method", ["dpo", "rft"])
@pytest.mark.parametrize("preference", ["sokrates", "answer_only"])
def test_undecided_is_never_a_label(method: str, preference: str) -> None:
    data = made(undecided(PROOF), undecided(GARBAGE), HALF, method=method, preference=preference)
    assert data.rows == ()
    assert data.funnel and data.funnel.undecided == 2 and data.funnel.kept == 0


@pytest.mark.parametrize("method", ["dpo", "rft"])
def test_problems_of_the_judges_are_not_trained_on(method: str) -> None:
    data = made(PROOF, GARBAGE, method=method, seen=frozenset({ASKED.id}))
    assert data.rows == () and data.funnel and data.funnel.leaked == 2


def test_rft_keeps_distinct_verified_proofs_pruned() -> None:
    other = problem(
        [*CHAIN[:3], "Each wumpus is not sour.", CHAIN[3]], "Max is sour.", "False", notation="english"
    )
    short = "Max is not sour. [4 5 mp] [6]\nAnswer: False"
    long = "Max is a tumpus. [1 5 mp] [6]\nMax is not sour. [2 6 mp] [7]\nAnswer: False"
    padded = "Max is a tumpus. [1 5 mp] [6]\nMax is not sour. [4 5 mp] [7]\nAnswer: False"
    answers = [judged(text, other, i) for i, text in enumerate([GARBAGE, padded, short, long])]
    for limit, kept in ((1, [short]), (5, [short, long])):
        data = build(
            [other],
            answers,
            config=Propose(samples=4, proofs_per_problem=limit),
            method="rft",
            system="",
            seen_by_judges=frozenset(),
            target=prune,
        )
        assert [row.chosen for row in data.rows] == kept
        assert all(row.rejected == "" for row in data.rows)
        assert data.funnel and data.funnel.kept == 3 and data.funnel.rows == len(data.rows)


def test_every_completion_is_counted_once() -> None:
    rng = random.Random(0)
    texts = [PROOF, DETOUR, HALF, WRONG_SIDE, GARBAGE, NO_ANSWER, ONLY_ANSWER, ""]
    problems = [replace(ASKED, id=f"p{i}") for i in range(60)]
    answers = []
    for asked in problems:
        for sample in range(5):
            answer = judged(rng.choice(texts), asked, sample)
            if rng.random() < 0.1:
                answer = replace(answer, verdict=replace(answer.verdict, status=Status.UNDECIDED))
            answers.append(answer)
    for method in ("dpo", "rft"):
        funnel = build(
            problems,
            answers,
            config=Propose(samples=5),
            method=method,
            system="",
            seen_by_judges=frozenset({"p3", "p4"}),
            target=prune,
        ).funnel
        assert funnel and (funnel.problems, funnel.generated, funnel.leaked) == (60, 300, 10)
        parts = [getattr(funnel, part) for part in ("unparsed", "duplicate", "undecided", "failed", "kept")]
        assert min(parts) > 0 and sum(parts) + funnel.leaked == funnel.generated


def test_the_id_is_that_of_the_rows() -> None:
    rows = [TrainingRow(problem_id="p", prompt="q", chosen=text) for text in "ab"]
    assert training_set("rft", rows).id == training_set("dpo", rows).id
    assert training_set("rft", rows).id != training_set("rft", rows[::-1]).id
