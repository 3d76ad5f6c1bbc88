"""Replies that formalize sentences first: the formulas must say what is meant, in one sense of each name."""

import pytest

from engine.logic.entailment import Entailment
from engine.logic.faults import AnyFault, ProofFault
from engine.logic.proof_check import prune
from engine.records import Fault, Status
from engine.verify import load_verifier, rules, sealed
from tests.support.proof_helpers import attempt, problem, proof

GOLD = ("all x (Drinks(x) -> Dependent(x))", "Drinks(rina) xor Jokes(rina)", "-Jokes(rina)")
QUESTION = "Dependent(rina)"
HEADER = (
    "all y (Coffee(y) -> Addicted(y)) [1]",
    "Coffee(r) xor Joker(r) [2]",
    "-Joker(r) [3]",
    "Addicted(r) [?]",
)
PROOF = "Coffee(r) [2 3 xor_e] [4]\nAddicted(r) [1 4 mp] [5]\nAnswer: True"
BOTH, NONE = (Status.PASS, Status.PASS), (Status.FAIL, Status.FAIL)


def reply(changes: dict[int, str] | None = None, rest: str = PROOF) -> str:
    return "\n".join([*((changes or {}).get(place, row) for place, row in enumerate(HEADER)), rest])


def judged(text: str, gold: str = "True") -> tuple[Status, Status]:
    asked, given = problem(GOLD, QUESTION, gold, notation="formalized"), attempt(text)
    first, second = rules.verify(asked, given), sealed.verify(asked, given)
    assert first.status is not Status.PASS or second.status is Status.PASS, second.reason
    assert load_verifier("rules + z3")(asked, given).status is first.status
    return first.status, second.status


@pytest.mark.parametrize(
    ("changes", "rest"),
    [
        ({}, PROOF),
        (
            {n: f"{text} [{'123?'[n]}]" for n, text in enumerate((*GOLD, QUESTION))},
            PROOF.replace("Coffee(r)", "Drinks(rina)").replace("Addicted(r)", "Dependent(rina)"),
        ),
        ({0: "-exists z (Coffee(z) & -Addicted(z)) [1]"},
         "all z -(Coffee(z) & -Addicted(z)) [1 qn] [4]\n-(Coffee(r) & -Addicted(r)) [4 ui] [5]\n"
         "-Coffee(r) | Addicted(r) [5 dm] [6]\nCoffee(r) [2 3 xor_e] [7]\nAddicted(r) [6 7 ds] [8]\n"
         "Answer: True"),
        ({0: "all x (Drinks(x) -> Jokes(x)) [1]", 1: "Drinks(r) xor Dependent(r) [2]", 2: "-Dependent(r) [3]",
          3: "Jokes(r) [?]"},
         "Drinks(r) [2 3 xor_e] [4]\nJokes(r) [1 4 mp] [5]\nAnswer: True"),
        ({3: "Addicted(r) & (Coffee(r) | -Coffee(r)) [?]"},
         PROOF.replace("Answer", "Coffee(r) | -Coffee(r) [4 or_i] [6]\n"
                       "Addicted(r) & (Coffee(r) | -Coffee(r)) [5 6 and_i] [7]\nAnswer")),
    ],
)  # fmt: skip
def test_names_and_wording_are_free(changes: dict[int, str], rest: str) -> None:
    text = reply(changes, rest)
    assert judged(text) == BOTH
    verdict = rules.verify(problem(GOLD, QUESTION, notation="formalized"), attempt(text))
    assert len(proof(verdict).steps) == len(text.split("\n")) - 1 == proof(verdict).num_valid
    assert prune(problem(GOLD, QUESTION, notation="formalized"), attempt(text)) == (text,)


@pytest.mark.parametrize(
    ("changes", "fault", "reason"),
    [
        ({0: "all y (Addicted(y) -> Coffee(y)) [1]"}, ProofFault.MISFORMALIZED, "in one sense"),
        ({0: "exists y (Coffee(y) -> Addicted(y)) [1]"}, ProofFault.MISFORMALIZED, "sentence 1: the formula"),
        ({1: "Coffee(r) | Joker(r) [2]"}, ProofFault.MISFORMALIZED, "sentence 2: the formula"),
        ({2: "-Joker(s) [3]"}, ProofFault.MISFORMALIZED, "in one sense"),
        ({3: "Joker(r) [?]"}, ProofFault.MISFORMALIZED, "in one sense"),
        ({3: "Addicted(r) | -Addicted(r) [?]"}, ProofFault.MISFORMALIZED, "the question: the formula"),
        ({2: "Joker(r) & -Joker(r) [3]"}, ProofFault.MISFORMALIZED, "sentence 3: the formula"),
        (
            {2: "-Joker(r [3]"},
            ProofFault.UNKNOWN_SYMBOL,
            "3: not a formula: column 9: '\\)'",
        ),
        ({2: "-Joker(r, r) [3]"}, ProofFault.UNKNOWN_SYMBOL, "sentence 3: column 2: 'Joker' takes 1"),
        (
            {2: "¬Joker(r) [3]"},
            ProofFault.UNKNOWN_SYMBOL,
            "3: not a formula: column 1: no",
        ),
        ({2: "-Joker(r) [4]"}, Fault.UNPARSED, "sentence 3: not a formula: not of the form 'FORMULA [3]'"),
        ({2: "-Joker(r)"}, Fault.UNPARSED, "sentence 3: not a formula: not of the form"),
        ({0: "It is so: all y (Coffee(y) -> Addicted(y)) [1]"}, ProofFault.UNKNOWN_SYMBOL, "sentence 1"),
        (
            {3: "Addicted(r) [4]"},
            Fault.UNPARSED,
            "question: not a formula: not of the form",
        ),
    ],
)
def test_what_is_not_meant_is_refused(changes: dict[int, str], fault: AnyFault, reason: str) -> None:
    text = reply(changes)
    assert judged(text) == NONE
    verdict = rules.verify(problem(GOLD, QUESTION, notation="formalized"), attempt(text))
    assert verdict.fault == fault
    assert reason.replace("\\", "") in verdict.reason
    assert not proof(verdict).valid
    assert (verdict.answer, verdict.right) == ("True", True), "the answer counts by itself"


@pytest.mark.parametrize("gold", ["True", "False", ""])
def test_an_answer_is_right_whatever_the_formulas_say(gold: str) -> None:
    asked = problem(GOLD, QUESTION, gold, notation="formalized")
    for verify in (rules.verify, sealed.verify):
        verdict = verify(asked, attempt(reply({2: "Joker(r) & -Joker(r) [3]"})))
        assert (verdict.status, verdict.answer) == (Status.FAIL, "True")
        assert verdict.right == (gold == "True")


def test_a_reply_without_all_its_formulas_is_refused() -> None:
    for text in ("", "Answer: True", "\n".join(HEADER[:2]), "\n".join([*HEADER[:3], PROOF]), "\n" * 300):
        assert judged(text) == NONE
        for verify in (rules.verify, sealed.verify):
            verdict = verify(problem(GOLD, QUESTION, notation="formalized"), attempt(text))
            assert (verdict.answer, verdict.right) == (("True", True) if "Answer" in text else ("", False))


def test_the_proof_is_judged_as_any_other() -> None:
    wrong = PROOF.replace("[1 4 mp]", "[1 3 mp]")
    asked = problem(GOLD, QUESTION, notation="formalized")
    verdict = rules.verify(asked, attempt(reply(rest=wrong)))
    assert judged(reply(rest=wrong)) == NONE
    assert (verdict.fault, proof(verdict).fault_step) == (ProofFault.WRONG_RULE, len(HEADER) + 2)
    assert judged(reply(), gold="False") == NONE
    assert judged(reply(rest="Answer: True")) == NONE


def test_an_open_question_needs_its_formulas_as_well() -> None:
    gold, question = ("all x (P(x) -> Q(x))", "Q(a)"), "P(a)"
    asked = problem(gold, question, "Unknown", notation="formalized")
    good = attempt("all x (A(x) -> B(x)) [1]\nB(c) [2]\nA(c) [?]\nAnswer: Unknown")
    bad = attempt("all x (A(x) -> B(x)) [1]\nB(c) [2]\nD(c) [?]\nAnswer: Unknown")
    for verify in (rules.verify, sealed.verify):
        assert verify(asked, good).status is Status.PASS
        assert verify(asked, bad).status is Status.FAIL


def test_z3_that_gives_up_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.logic.first_order.renaming.equivalent", lambda *_: None)
    monkeypatch.setattr(Entailment, "follows", lambda *_: None)
    asked = problem(GOLD, QUESTION, notation="formalized")
    for verify in (rules.verify, sealed.verify):
        verdict = verify(asked, attempt(reply()))
        assert (verdict.status, verdict.fault) == (Status.UNDECIDED, Fault.VERIFIER_LIMIT)
        assert verdict.right, "the answer is known, whatever the formulas say"
        wrong = verify(problem(GOLD, QUESTION, "False", notation="formalized"), attempt(reply()))
        assert (wrong.status, wrong.fault) == (Status.FAIL, Fault.WRONG_ANSWER)
        assert wrong.reason == "the answer is False, got True"


def test_gold_formulas_that_cannot_be_read_are_undecided() -> None:
    asked = problem(("all x (P(x)",), "Q(a)", notation="formalized")
    for verify in (rules.verify, sealed.verify):
        verdict = verify(asked, attempt("P(a) [1]\nQ(a) [?]\nAnswer: True"))
        assert (verdict.status, verdict.fault) == (Status.UNDECIDED, ProofFault.UNREADABLE)


def test_every_formula_is_marked_by_itself() -> None:
    asked = problem(GOLD, QUESTION, notation="formalized")
    text = reply({0: "all y (Coffee(y) -> Addicted(y [1]", 2: "Joker(r) & -Joker(r) [3]"})
    steps = proof(rules.verify(asked, attempt(text))).steps
    assert [step.valid for step in steps] == [False, True, False, True]
    assert steps[0].reason.startswith("not a formula: column 31: ") and "what is meant" in steps[2].reason
    cut_off = proof(rules.verify(asked, attempt(HEADER[0])))
    assert [step.valid for step in cut_off.steps] == [True, False, False, False]
    assert cut_off.num_formulas == 4 and cut_off.steps[1].reason.startswith("not a formula")
