"""An answer Unknown passes the sealed checker only where worlds show that the question is open."""

import pytest

from engine.logic.entailment import Entailment
from engine.logic.faults import ProofFault
from engine.logic.proof_check import prune
from engine.records import Fault, Status
from engine.verify import load_verifier, rules, sealed
from tests.support.proof_helpers import attempt, problem, proof

ENDLESS = (
    "all x exists y R(x, y)",
    "all x -R(x, x)",
    "all x all y all z (R(x, y) & R(y, z) -> R(x, z))",
)


@pytest.mark.parametrize(
    ("premises", "question", "status"),
    [
        (["all x (P(x) -> Q(x))", "P(a)"], "P(b)", Status.PASS),
        (["all x (P(x) -> Q(x))", "P(a)"], "Q(a)", Status.FAIL),
        (["all x (P(x) -> Q(x))", "-Q(a)"], "P(a)", Status.FAIL),
        (["A", "-A"], "B", Status.FAIL),
        (["exists x P(x)"], "P(d)", Status.PASS),
        (["all x exists y R(x, y)"], "exists y all x R(x, y)", Status.PASS),
        ([f"n{i} != n{j}" for i in range(6) for j in range(i)], "P(n1)", Status.PASS),
        ([*ENDLESS, "P(a)"], "P(a)", Status.FAIL),
        ([*ENDLESS, "P(a)"], "P(b)", Status.UNDECIDED),
        ([], "A", Status.PASS),
    ],
)
@pytest.mark.parametrize("gold", ["Unknown", ""])
def test_two_worlds_are_needed(premises: list[str], question: str, status: Status, gold: str) -> None:
    asked = problem(premises, question, gold, notation="first_order")
    verdict = sealed.verify(asked, attempt("Answer: Unknown"))
    assert verdict.status is status, verdict.reason
    assert verdict.right == (status is Status.PASS or gold == "Unknown")
    if status is Status.FAIL:
        assert verdict.fault == ProofFault.UNSETTLED
        assert verdict.reason == "the premises do not leave it open"
    if status is Status.UNDECIDED:
        assert verdict.fault == Fault.VERIFIER_LIMIT and "gave up" in verdict.reason


def test_z3_that_gives_up_never_passes_an_unknown_that_has_no_small_world(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Entailment, "consistent", lambda *_: None)
    asked = problem([*ENDLESS, "P(a)"], "P(a)", "Unknown", notation="first_order")
    assert sealed.verify(asked, attempt("Answer: Unknown")).status is Status.UNDECIDED


def test_an_unknown_that_the_premises_decide_is_a_disagreement_and_no_pass() -> None:
    asked = problem(["A"], "A", "Unknown", notation="first_order")
    verdict = load_verifier("rules + z3")(asked, attempt("Answer: Unknown"))
    assert (verdict.status, verdict.fault) == (Status.UNDECIDED, Fault.VERIFIERS_DISAGREE)
    asked = problem(["A"], "A", "True", notation="first_order")
    assert load_verifier("rules + z3")(asked, attempt("Answer: Unknown")).status is Status.FAIL
    assert sealed.verify(asked, attempt("Answer: Unknown")).fault == Fault.WRONG_ANSWER


PREMISES = ("all x (P(x) -> Q(x))", "P(a)")


@pytest.mark.parametrize(
    ("lines", "notation", "status"),
    [
        ("Q(a) [1 2 mp] [3]", "first_order", Status.PASS),
        ("Q(a) [1 2 mp] [3]", "fol", Status.FAIL),
        ("Q(b) [1 2 mp] [3]", "first_order", Status.FAIL),
        ("Q(a) [assume] [3]\nQ(a) | P(a) [3 or_i] [4]", "first_order", Status.FAIL),
        ("P(b) [assume] [3]\nQ(b) [1 3 mp] [4]\nP(b) -> Q(b) [3 4 cp] [5]", "first_order", Status.PASS),
        ("P(b) [assume] [3]\nQ(a) [1 2 mp] [4]", "first_order", Status.PASS),
    ],
)
def test_valid_lines_may_stand_before_unknown_where_the_notation_says_so(
    lines: str, notation: str, status: Status
) -> None:
    premises = (*PREMISES, "P(b) -> P(b)") if notation == "fol" else PREMISES
    lines = lines if notation == "first_order" else lines.replace("[3]", "[4]")
    asked = problem(premises, "P(b)", "Unknown", notation=notation)
    given = attempt(f"{lines}\nAnswer: Unknown")
    assert rules.verify(asked, given).status is status, rules.verify(asked, given).reason
    assert sealed.verify(asked, given).status is status, sealed.verify(asked, given).reason
    if status is Status.PASS:
        assert prune(asked, given) == (given.text,)
        assert proof(rules.verify(asked, given)).valid


def test_an_open_question_of_a_closed_and_of_an_open_world() -> None:
    premises = ("If something is red then it is big.", "Anne is red.", "Bob is blue.")
    for closing, question, status in (
        ((), "Bob is big.", Status.PASS),
        ((), "Anne is big.", Status.FAIL),
        (("Nothing else is true.",), "Anne is big.", Status.FAIL),
        (("Nothing else is true.",), "Bob is big.", Status.FAIL),
        # Backwards a rule says nothing: that Bob is not red stays open.
        (("Bob is not big.",), "Bob is red.", Status.PASS),
    ):
        asked = problem([*premises, *closing], question, "Unknown", notation="proofwriter")
        verdict = sealed.verify(asked, attempt("Answer: Unknown"))
        assert verdict.status is status, (question, verdict.reason)
