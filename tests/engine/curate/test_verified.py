"""From answers to candidates: what passed is kept with its pass rate and grade, all else is counted."""

from dataclasses import replace

import pytest

from engine.curate.verified import passed, with_losses
from engine.logic.proof_check import prune
from engine.records import Answer, Likelihood, Status
from engine.verify import rules
from tests.support.proof_helpers import CHAIN, PROOF, attempt, problem

ASKED = problem(CHAIN, "Max is sour.", "False", notation="english")
OTHER = replace(ASKED, id="q")
DETOUR = PROOF.replace(
    "Max is not sour. [2 5 mp] [6]", "Max is a vumpus. [3 5 mp] [6]\nMax is not sour. [2 5 mp] [7]"
)


def judged(text: str, sample: int, asked=ASKED) -> Answer:  # type: ignore[no-untyped-def]
    given = attempt(text, problem_id=asked.id, sample=sample)
    return Answer(attempt=given, verdict=rules.verify(asked, given))


def test_distinct_replies_that_passed_are_kept_up_to_the_most() -> None:
    lost = judged(PROOF, 3)
    lost = replace(lost, verdict=replace(lost.verdict, status=Status.UNDECIDED))
    answers = [judged(PROOF, 0), judged(PROOF, 1), judged("Answer: True", 2), lost]
    answers += [judged(text, i, OTHER) for i, text in enumerate((DETOUR, PROOF, "well", "Answer: True"))]
    candidates, stations = passed(
        [ASKED, OTHER], answers, rates=[0.75, 0.5], most=2, target=lambda _, a: a.replies
    )
    assert [(each.problem.id, each.replies[0], each.pass_rate) for each in candidates] == [
        ("p", PROOF, 0.75),
        ("q", DETOUR, 0.5),
        ("q", PROOF, 0.5),
    ]
    assert [(each.name, each.num_in, each.num_out) for each in stations] == [
        ("sampled", 2, 8),
        ("not leaked", 8, 8),
        ("decided", 8, 7),
        ("distinct", 7, 6),
        ("parsed", 6, 5),
        ("passed", 5, 3),
        ("kept", 3, 3),
    ]
    one, stations = passed([ASKED, OTHER], answers, rates=[0.75, 0.5], most=1, target=lambda _, a: a.replies)
    assert [each.replies[0] for each in one] == [PROOF, DETOUR] and stations[-1].num_out == 2
    pruned, _ = passed([ASKED, OTHER], answers, rates=[0.75, 0.5], most=2, target=prune)
    assert [each.replies[0] for each in pruned] == [PROOF, PROOF], "pruned, the two proofs are one text"
    assert passed([], [], rates=[], most=2, target=prune)[0] == []


def found(nll: float, num: int) -> Likelihood:
    return Likelihood(problem_id="p", model_id="m", nll=nll, num_tokens=num)


def test_losses_are_means_over_all_tokens_of_a_candidate() -> None:
    answers = [judged(PROOF, 0), judged(PROOF, 0, OTHER)]
    candidates, _ = passed([ASKED, OTHER], answers, rates=[1.0, 1.0], most=1, target=prune)
    first, second = with_losses(candidates, [2, 1], [found(1.0, 4), found(5.0, 8), found(3.0, 4)])
    assert (first.loss, second.loss) == (0.5, 0.75)
    assert (first.score, second.score) == (-0.5, -0.75), "likelier is better where nothing is graded"
    graded = [replace(candidates[0], score=0.9), candidates[1]]
    assert [each.score for each in with_losses(graded, [1, 1], [found(1, 4), found(3, 4)])] == [0.9, 0.0]
    (lost, _) = with_losses(candidates, [1, 1], [found(float("inf"), 4), found(3.0, 4)])
    assert lost.loss == pytest.approx(0.0) and lost.score == float("-inf"), "it must not rank as the best"
