"""Rounds of replies, and what a search makes of verdicts: only a reply that passed is ever its outcome."""

from dataclasses import replace

import pytest

from engine.logic.faults import CONTRADICTORY, ProofFault
from engine.prove.search import Budget, Search
from engine.records import Attempt, Fault, Reference, Status, Verdict
from engine.verify import unlabelled
from tests.support.proof_helpers import CHAIN, PROOF, attempt, problem
from tests.support.questions import search_of

ASKED = problem(CHAIN, "Max is sour.", "True", notation="english", name="elsewhere")
WRONG, CLAIM = PROOF.replace("5 mp", "4 mp"), "Answer: False"


def judged(search: Search, *texts: str) -> None:
    for text in texts:
        if new := search.add(attempt(text, problem_id="0")):
            search.judge(unlabelled.verify(search.problem, new))


def test_the_first_reply_is_greedy_and_the_others_are_drawn_in_rounds() -> None:
    for samples, nums in ((1, [1]), (2, [1, 1]), (8, [1, 7]), (20, [1, 7, 8, 4]), (32, [1, 7, 8, 8, 8])):
        rounds = list(Budget(samples=samples, temperature=0.5, seed=100).rounds(64))
        assert [each.samples for each in rounds] == nums
        assert [each.temperature for each in rounds] == [0.0, *[0.5] * (len(nums) - 1)]
        assert len({each.seed for each in rounds[1:]}) == len(nums) - 1, "no round draws what another did"
        assert all(each.max_new_tokens == 64 for each in rounds)


def test_only_a_reply_that_passed_is_the_outcome() -> None:
    search = search_of(ASKED)
    judged(search, WRONG, CLAIM, WRONG)
    early = search.outcome()
    assert search.is_open and not early.is_answered and (early.reply, early.checkers) == ("", ())
    assert early.samples == 3
    assert early.faults == {ProofFault.WRONG_RULE: 2, ProofFault.UNSETTLED: 1}
    assert early.reason == (
        "no proof was found: none of 3 replies passes both checkers (wrong_rule 2, unsettled 1)"
    )
    judged(search, PROOF, CLAIM, PROOF)
    found = search.outcome()
    assert not search.is_open and found.is_answered
    assert (found.answer, found.reply, found.checkers) == ("False", PROOF, ("rules", "z3"))
    assert (found.samples, found.reason) == (6, "")


def test_what_the_problem_says_of_its_answer_is_forgotten() -> None:
    search = search_of(ASKED)
    assert search.problem.truth == replace(ASKED.truth, answer="") and search.problem.id == "0"
    with pytest.raises(AssertionError):
        search_of(replace(ASKED, truth=Reference(accepted=("x",))))


def test_a_reply_that_was_given_before_is_not_judged_again() -> None:
    search = search_of(ASKED)
    first = search.add(attempt(CLAIM, sample=5))
    assert first and (first.problem_id, first.sample) == ("0", 1)
    assert search.add(attempt(CLAIM)) is None
    second = search.add(attempt(WRONG))
    assert second and second.sample == 3


def verdict(given: Attempt, status: Status, fault: str, reason: str = "because") -> Verdict:
    return Verdict(
        problem_id=given.problem_id,
        sample=given.sample,
        status=status,
        right=False,
        answer="True",
        fault=fault,
        verifier="rules + z3",
        reason=reason,
    )


@pytest.mark.parametrize(
    ("status", "fault", "is_open"),
    [
        (Status.FAIL, Fault.NO_ANSWER, True),
        (Status.FAIL, CONTRADICTORY, False),
        (Status.UNDECIDED, ProofFault.UNREADABLE, False),
        (Status.UNDECIDED, Fault.VERIFIER_LIMIT, False),
    ],
)
def test_an_empty_reply_shows_whether_the_problem_can_be_asked(
    status: Status, fault: str, is_open: bool
) -> None:
    search = search_of(ASKED)
    empty = search.begin()
    assert empty.text == "" and empty.problem_id == search.problem.id
    search.judge(verdict(empty, status, fault))
    assert search.is_open is is_open
    assert search.outcome().reason == ("because" if not is_open else search.outcome().reason)
    assert not search.outcome().is_answered


def test_no_verdict_but_pass_makes_an_answer() -> None:
    search = search_of(ASKED)
    for number, status in enumerate((Status.UNDECIDED, Status.FAIL)):
        new = search.add(attempt(f"{number}"))
        assert new
        search.judge(verdict(new, status, Fault.VERIFIERS_DISAGREE))
    assert search.is_open and search.outcome().faults == {"verifiers_disagree": 2}
    with pytest.raises(AssertionError):
        search.judge(replace(verdict(search.begin(), Status.PASS, Fault.NONE), problem_id="other"))


def test_a_search_that_ended_early_says_why() -> None:
    search = search_of(ASKED)
    search.give_up("3 seconds are over")
    assert search.outcome().reason == (
        "no proof was found: 3 seconds are over; none of 0 replies passes both checkers"
    )
