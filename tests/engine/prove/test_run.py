"""Questions and a model by script, with the real checkers in their processes: no answer is ever wrong."""

import random
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from configs.schema import Verify
from engine.prove import run
from engine.prove.run import answer, checkers
from engine.prove.search import Budget
from engine.records import Problem
from engine.verify.pool import VerifierPool
from tests.support.proof_helpers import CHAIN, PROOF, problem, theory
from tests.support.questions import MODEL, Says, hostile_reply, search_of
from tests.support.suites import suite
from tests.support.verifiers import kept_pool

pytestmark = pytest.mark.slow

SOUR = replace(problem(CHAIN, "Max is sour.", "", notation="english"), turns=("sour?",))
VUMPUS = replace(problem(CHAIN, "Max is a vumpus.", "", notation="english"), turns=("vumpus?",))
OPEN = replace(problem(CHAIN, "Max is a dog.", "", notation="first_order"), turns=("open?",))
CLASH = replace(
    problem((*CHAIN, "Max is sour.", "Max is not sour."), "Max is sour.", "", notation="english"),
    turns=("x",),
)
SHOWN = "Max is a tumpus. [1 4 mp] [5]\nMax is a vumpus. [3 5 mp] [6]\nAnswer: True"
WRONG = PROOF.replace("5 mp", "4 mp")


@pytest.fixture
def pool() -> Iterator[VerifierPool]:
    with kept_pool("unlabelled", 10.0) as kept:
        yield kept


def test_only_the_right_proof_is_ever_an_answer(pool: VerifierPool) -> None:
    """A wrong proof, an unchecked claim, a proof of something else, and then the right one."""
    script = [WRONG, "Answer: False", SHOWN, "Answer: Unknown", f"So:\n{PROOF}", PROOF]
    says = Says(lambda prompt, number: script[min(number, 5)])
    search = search_of(SOUR)
    answer([search], says, MODEL, pool, Budget(samples=32), 64)
    found = search.outcome()
    assert (found.answer, found.reply, found.model_id) == ("False", PROOF, "weights")
    # It is in the second round, which is not drawn to its end where nobody else waits.
    assert 6 <= found.samples <= 8
    assert says.samplings[0][1].temperature == 0.0 and says.samplings[1][1].temperature == 0.7
    assert found.faults["unsettled"] == 3 and found.faults["unparsed"] == 1


def test_a_budget_is_kept_and_the_word_is_that_none_was_found(pool: VerifierPool) -> None:
    says = Says(lambda prompt, number: f"{WRONG} {number}")
    search = search_of(SOUR)
    answer([search], says, MODEL, pool, Budget(samples=11), 64)
    assert search.outcome().samples == 11 and not search.outcome().is_answered
    assert [each.samples for _, each in says.samplings] == [1, 7, 3]


def test_each_question_gets_its_own_answer_and_no_more_replies_than_it_needs(pool: VerifierPool) -> None:
    replies = {"sour?": ["Answer: True", PROOF], "vumpus?": [SHOWN]}
    says = Says(lambda prompt, number: replies[prompt][min(number, len(replies[prompt]) - 1)])
    searches = [search_of(SOUR, "a"), search_of(VUMPUS, "b")]
    answer(searches, says, MODEL, pool, Budget(samples=32), 64)
    first, second = (search.outcome() for search in searches)
    assert (first.answer, first.reply) == ("False", PROOF)
    assert (second.answer, second.reply, second.samples) == ("True", SHOWN, 1)
    assert [num for num, _ in says.samplings] == [2, 1]


def test_a_question_that_no_proof_would_settle_is_refused_before_a_model_is_asked() -> None:
    searches = [search_of(CLASH, "0"), search_of(SOUR, "1"), search_of(OPEN, "2")]
    says = Says(lambda prompt, number: PROOF)
    with checkers(searches, Verify(seconds=10)) as pool:
        assert [search.is_open for search in searches] == [False, True, False]
        answer(searches, says, MODEL, pool, Budget(samples=4), 64)
    clash, sour, unread = (search.outcome() for search in searches)
    assert (clash.samples, clash.is_answered) == (0, False) and "contradict each other" in clash.reason
    assert (unread.samples, unread.is_answered) == (0, False) and "cannot be read" in unread.reason
    assert sour.answer == "False" and [num for num, _ in says.samplings] == [1]


def test_unknown_needs_its_two_worlds(pool: VerifierPool) -> None:
    facts = ("If someone is cold then they are red.", "Anne is cold.")
    decided = replace(problem(facts, "Anne is red.", "", notation="proofwriter"), turns=("d",))
    left = replace(problem(facts, "Bob is red.", "", notation="proofwriter"), turns=("l",))
    searches = [search_of(decided, "a"), search_of(left, "b")]
    answer(searches, Says(lambda *_: "Answer: Unknown"), MODEL, pool, Budget(samples=3), 64)
    first, second = (search.outcome() for search in searches)
    assert not first.is_answered and first.faults == {"unsettled": 3}
    assert (second.answer, second.reply) == ("Unknown", "Answer: Unknown")


def test_time_that_is_over_ends_the_search(pool: VerifierPool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 6.0])
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    search = search_of(SOUR)
    answer([search], Says(lambda prompt, n: str(n)), MODEL, pool, Budget(seconds=5, samples=32), 64)
    assert search.outcome().samples == 2
    assert search.outcome().reason.startswith("no proof was found: 5 seconds are over; none of 2 replies")


@pytest.mark.parametrize("task", ["prontoqa", "proofwriter", "formal"])
def test_no_answer_is_wrong_whatever_a_model_replies(task: str, pool: VerifierPool) -> None:
    rng = random.Random(task)
    drawn: list[Problem] = suite(task).draw(24, split="hostile", seed=1)
    of = {each.turns[0]: each for each in drawn}
    says = Says(lambda prompt, number: hostile_reply(of[prompt], drawn, rng))
    searches = [search_of(each, str(number)) for number, each in enumerate(drawn)]
    answer(searches, says, MODEL, pool, Budget(samples=24), 64)
    outcomes = [search.outcome() for search in searches]
    answered = [(each, found) for each, found in zip(drawn, outcomes, strict=True) if found.is_answered]
    assert len(answered) >= 6, "replies that are right by chance are found"
    assert any(not found.is_answered for found in outcomes) or len(answered) == len(drawn)
    assert all(found.answer == theory(each).answer for each, found in answered)
