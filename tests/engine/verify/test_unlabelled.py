"""Replies judged without a right answer: only their own evidence makes them pass, contradictions never."""

from dataclasses import replace

import pytest

from engine.logic.faults import CONTRADICTORY, ProofFault
from engine.records import Fault, Problem, Status
from engine.verify import load_verifier, unlabelled
from tests.support import first_order_attacks
from tests.support.attacks import ATTACKS
from tests.support.proof_helpers import attempt, problem, theory
from tests.support.suites import suite

TRUE = "Q(a) [1 2 mp] [3]\nAnswer: True"
RULE = ("all x (P(x) -> Q(x))", "P(a)")


def first_order(premises: tuple[str, ...], question: str, gold: str = "") -> Problem:
    return problem(premises, question, gold, notation="first_order")


@pytest.mark.parametrize("gold", ["", "True", "False", "Unknown"])
@pytest.mark.parametrize(
    ("question", "reply", "answer"),
    [
        ("Q(a)", TRUE, "True"),
        ("-Q(a)", TRUE.replace("True", "False"), "False"),
        ("P(a)", "Answer: True", "True"),
        ("Q(b)", "Answer: Unknown", "Unknown"),
        ("Q(b)", "Q(a) [1 2 mp] [3]\nAnswer: Unknown", "Unknown"),
    ],
)
def test_a_reply_is_its_own_evidence_whatever_the_problem_says(
    question: str, reply: str, answer: str, gold: str
) -> None:
    verdict = unlabelled.verify(first_order(RULE, question, gold), attempt(reply))
    assert (verdict.status, verdict.right, verdict.answer) == (Status.PASS, True, answer), verdict.reason
    assert (verdict.verifier, verdict.fault, verdict.reason) == ("rules + z3", Fault.NONE, "")


@pytest.mark.parametrize("gold", ["", "True", "False", "Unknown"])
@pytest.mark.parametrize(
    ("question", "reply", "fault"),
    [
        ("Q(a)", "Answer: True", ProofFault.UNSETTLED),
        ("Q(a)", "Answer: Unknown", ProofFault.UNSETTLED),
        ("-Q(a)", TRUE, ProofFault.UNSETTLED),
        ("Q(b)", "Q(b) [1 2 mp] [3]\nAnswer: True", ProofFault.WRONG_CLAIM),
        ("Q(b)", "Q(b) [1 2 mp] [3]\nAnswer: Unknown", ProofFault.WRONG_CLAIM),
        ("Q(b)", "Q(b) [assume] [3]\nAnswer: True", ProofFault.OPEN_ASSUMPTION),
        ("Q(a)", "It is True.", Fault.NO_ANSWER),
        ("Q(a)", "", Fault.NO_ANSWER),
        ("Q(a)", f"{TRUE}\nAnswer: True", Fault.UNPARSED),
    ],
)
def test_a_claim_without_evidence_never_passes(question: str, reply: str, fault: str, gold: str) -> None:
    verdict = unlabelled.verify(first_order(RULE, question, gold), attempt(reply))
    assert (verdict.status, verdict.right, verdict.fault) == (Status.FAIL, False, fault), verdict.reason
    assert verdict.reason


def test_nothing_passes_where_the_premises_contradict_each_other() -> None:
    """A proof of anything would pass the rules and Z3 alike, and so would two worlds of one way."""
    clash = (*RULE, "-Q(a)")
    asked = first_order(clash, "R(a)")
    anything = "Q(a) [1 2 mp] [4]\nQ(a) | R(a) [4 or_i] [5]\nR(a) [5 3 ds] [6]\nAnswer: True"
    assert load_verifier("rules + z3")(asked, attempt(anything)).status is Status.PASS
    for reply in (anything, "Answer: Unknown", ""):
        verdict = unlabelled.verify(asked, attempt(reply))
        assert (verdict.status, verdict.fault) == (Status.FAIL, CONTRADICTORY)
        assert "contradict each other" in verdict.reason
    one_way = ("Anne is red.", "Anne is not red.")
    open_world = problem(one_way, "Anne is big.", "", notation="proofwriter")
    assert load_verifier("z3")(open_world, attempt("Answer: Unknown")).status is Status.PASS
    assert unlabelled.verify(open_world, attempt("Answer: Unknown")).fault == CONTRADICTORY


def test_an_unknown_comes_with_its_two_worlds_and_nothing_else_does() -> None:
    """In the first the question holds, in the second it does not."""
    asked = first_order(("all x (Drinks(x) -> Jokes(x))", "Drinks(rina)"), "Tall(rina)")
    for verifier, gold in (("unlabelled", ""), ("rules + z3", "Unknown"), ("z3", "Unknown")):
        given = replace(asked, truth=replace(theory(asked), answer=gold))
        assert load_verifier(verifier)(given, attempt("Answer: Unknown")).worlds == (
            "1 thing: rina\nTrue: Drinks(rina), Jokes(rina), Tall(rina); nothing else.",
            "1 thing: rina\nTrue: Drinks(rina), Jokes(rina); nothing else.",
        )
    proved = first_order(RULE, "Q(a)")
    for reply in (TRUE, "Answer: Unknown"):
        assert unlabelled.verify(proved, attempt(reply)).worlds == ()


def test_the_worlds_of_proofwriter_are_those_of_logic() -> None:
    """Where a rule leads one way, a thing may be red and not red."""
    facts = ("If someone is cold then they are nice.", "Anne is not nice.", "Bob is cold.")
    asked = problem(facts, "Bob is red.", "", notation="proofwriter")
    assert load_verifier("z3")(asked, attempt("Answer: Unknown")).worlds == ()
    holds, fails = unlabelled.verify(asked, attempt("Answer: Unknown")).worlds
    assert (
        "red" in holds.split("True: ")[1] and "red" not in fails and "not" not in holds.split("; nothing")[0]
    )


def test_nothing_passes_where_nobody_knows_whether_the_premises_hold_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unlabelled, "can_hold", lambda formulas: None)
    asked = first_order((*RULE, "Strange(a)"), "Q(a)")
    verdict = unlabelled.verify(asked, attempt(TRUE.replace("[3]", "[4]")))
    assert (verdict.status, verdict.fault) == (Status.UNDECIDED, Fault.VERIFIER_LIMIT)
    assert "hold together" in verdict.reason


def test_a_problem_that_cannot_be_read_is_undecided() -> None:
    for premises in (("P(",), ("P(a)", "P(a, b)")):
        verdict = unlabelled.verify(first_order(premises, "P(a)"), attempt("Answer: True"))
        assert (verdict.status, verdict.fault) == (Status.UNDECIDED, ProofFault.UNREADABLE)
    closed = problem(("Anne is red.", "Nothing else is true."), "Anne is odd.", "", notation="proofwriter")
    assert unlabelled.verify(closed, attempt("")).fault == ProofFault.UNREADABLE


def test_nothing_passes_that_depends_on_rules_used_backwards() -> None:
    """ProofWriter leaves it open whether Anne is cold, and logic says that she is not."""
    facts = ("If someone is cold then they are nice.", "Anne is not nice.", "Bob is cold.")
    backwards = "Anne is not cold. [1 2 mt] [4]\nAnswer: False"
    asked = problem(facts, "Anne is cold.", "", notation="proofwriter")
    assert load_verifier("rules + z3")(asked, attempt(backwards)).status is Status.PASS
    assert load_verifier("z3")(asked, attempt("Answer: Unknown")).status is Status.PASS
    for reply in (backwards, "Answer: Unknown"):
        verdict = unlabelled.verify(asked, attempt(reply))
        assert (verdict.status, verdict.fault, verdict.right) == (Status.FAIL, ProofFault.UNSETTLED, False)
        assert verdict.reason.endswith("used backwards") or "open" in verdict.reason
    forwards = problem(facts, "Bob is nice.", "", notation="proofwriter")
    assert (
        unlabelled.verify(forwards, attempt("Bob is nice. [1 3 mp] [4]\nAnswer: True")).status is Status.PASS
    )
    left = problem(facts, "Bob is red.", "", notation="proofwriter")
    assert unlabelled.verify(left, attempt("Answer: Unknown")).status is Status.PASS


@pytest.mark.slow
@pytest.mark.parametrize("task", ["prontoqa", "proofwriter", "formal"])
def test_gold_replies_of_every_task_pass_without_their_answers(task: str) -> None:
    for asked in suite(task).draw(30, split="self-check", seed=3):
        blank = replace(asked, truth=replace(theory(asked), answer=""))
        verdict = unlabelled.verify(blank, replace(attempt(""), replies=asked.gold))
        assert (verdict.status, verdict.answer) == (Status.PASS, theory(asked).answer), verdict.reason


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_passes(name: str) -> None:
    attack = ATTACKS[name]
    asked = problem(attack.premises, attack.question, "", notation=attack.notation)
    assert unlabelled.verify(asked, attempt(attack.text)).status is not Status.PASS


@pytest.mark.parametrize("answer", ["True", "False", "Unknown"])
@pytest.mark.parametrize("name", first_order_attacks.ATTACKS)
def test_no_attack_of_first_order_logic_passes(name: str, answer: str) -> None:
    attack = first_order_attacks.ATTACKS[name]
    asked = first_order(attack.premises, attack.question)
    verdict = unlabelled.verify(asked, attempt(f"{attack.lines}\nAnswer: {answer}"))
    assert verdict.status is not Status.PASS
