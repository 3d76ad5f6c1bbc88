"""Self-critique: which failures are revised, what the model is told, and what becomes of its revisions."""

from dataclasses import replace

import pytest

from engine.curate.critique import Failure, asked_again, failures_among, mended, stations_of
from engine.logic.proof_check import prune
from engine.records import Answer, Fault, Problem, Status
from engine.verify import rules
from tests.support.proof_helpers import CHAIN, PROOF, attempt, problem

ASKED = replace(problem(CHAIN, "Max is sour.", "False", notation="english"), turns=("Is Max sour?",))
WRONG = PROOF.replace("Answer: False", "Answer: True")


def judged(text: str, asked: Problem = ASKED, sample: int = 0) -> Answer:
    given = attempt(text, problem_id=asked.id, sample=sample)
    return Answer(attempt=given, verdict=rules.verify(asked, given))


def undecided(answer: Answer) -> Answer:
    return replace(
        answer, verdict=replace(answer.verdict, status=Status.UNDECIDED, fault=Fault.VERIFIER_LIMIT)
    )


def test_only_problems_that_no_sample_solved_are_revised() -> None:
    solved, failed, unjudged, talk = (replace(ASKED, id=name) for name in ("a", "b", "c", "d"))
    talk = replace(talk, turns=("Hello.", "Is Max sour?"))
    groups = [
        [judged(WRONG, solved), judged(PROOF, solved, 1)],
        [undecided(judged(WRONG, failed)), judged("Who knows?", failed, 1)],
        [undecided(judged(WRONG, unjudged)), undecided(judged(WRONG, unjudged, 1))],
        [judged(WRONG, talk), judged(WRONG, talk, 1)],
    ]
    answers = [answer for group in groups for answer in group]
    (failure,) = failures_among([solved, failed, unjudged, talk], answers)
    assert failure == Failure(failed, groups[1][1]), "what is undecided is no failure, a dialogue is left"
    assert failures_among([], []) == []


def test_the_control_sees_the_same_without_the_reason() -> None:
    failure = Failure(ASKED, judged(WRONG))
    told, untold = (asked_again(failure, told=which) for which in (True, False))
    assert told.turns[0].startswith(f"Is Max sour?\n\nThis is an answer to it:\n{WRONG}\n\nIt is wrong: ")
    reason = failure.answer.verdict.reason
    assert reason and told.turns[0].replace(f"It is wrong: {reason}\n", "") == untold.turns[0]
    assert len({ASKED.id, told.id, untold.id}) == 3
    assert told.truth == untold.truth == ASKED.truth


def test_a_reason_is_one_line_and_not_too_long() -> None:
    failed = judged("{answer}")
    long = replace(failed, verdict=replace(failed.verdict, reason="bad\nline " * 200))
    text = asked_again(Failure(ASKED, long), told=True).turns[0]
    (line,) = [row for row in text.split("\n") if row.startswith("It is wrong: ")]
    assert line.startswith("It is wrong: bad line bad") and len(line) < 420
    assert "{answer}" in text, "braces of an answer are text"


def test_revisions_that_pass_answer_the_problem_as_it_was_asked() -> None:
    other = replace(ASKED, id="q")
    failures = [Failure(ASKED, judged(WRONG)), Failure(other, judged(WRONG, other))]
    again = [asked_again(failure, told=True) for failure in failures]
    detour = PROOF.replace(
        "Max is not sour. [2 5 mp] [6]", "Max is a vumpus. [3 5 mp] [6]\nMax is not sour. [2 5 mp] [7]"
    )
    revisions = [judged(WRONG, again[0]), judged(detour, again[1])]
    (candidate,) = mended(failures, revisions, prune)
    assert candidate.problem == other and candidate.replies == (PROOF,), "pruned like any proof"
    assert candidate.pass_rate == 0.0
    with pytest.raises(ValueError, match="zip"):
        mended(failures, revisions[:1], prune)


def test_what_becomes_of_failures_is_counted() -> None:
    revised, done = stations_of(9, 4, 2)
    assert (revised.num_in, revised.num_out, done.num_in, done.num_out) == (9, 4, 4, 2)
