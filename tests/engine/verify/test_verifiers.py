"""Verifiers by name, several in turn, the faults that they declare, and the self-check of every plug-in."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.logic.faults import ProofFault
from engine.records import Attempt, Fault, Problem, ProofSteps, Recall, Status, Verdict
from engine.verify import AND, VERIFIERS, faults_of, load_verifier, rules
from engine.verify.verdicts import verdict_on
from tests.support import toy_task
from tests.support.proof_helpers import CHAIN, PROOF, attempt, problem, proof
from tests.support.suites import suite
from tests.support.verifiers import ASKED, BAD

TOY = "tests/support/toy_task.py"


def spoilt_proofs(asked: Problem) -> list[str]:
    """The gold proof with another answer, without its first line, and cut off."""
    (text,) = asked.gold
    other = "False" if text.endswith("True") else "True"
    return [f"{text.rpartition(' ')[0]} {other}", text.partition("\n")[2], text[:-1]]


def spoilt_memories(asked: Problem) -> list[str]:
    """The gold reply with another value, without knowing it, and denied."""
    assert isinstance(asked.truth, Recall)
    (text,), ((value,),) = asked.gold, asked.truth.expected
    return ["no", "", text.replace(value, "Atlantis"), f"I don't know. {text}", f"It is not true that {text}"]


PLUG_INS: dict[str, tuple[str, str, Callable[[Problem], list[str]]]] = {
    "rules": ("prontoqa", "rules", spoilt_proofs),
    "z3": ("prontoqa", "z3", spoilt_proofs),
    "unlabelled": ("prontoqa", "unlabelled", spoilt_proofs),
    "gym": ("gym", "gym", lambda asked: ["no", "", asked.gold[0][:-1], f"{asked.gold[0]} and more"]),
    "recall": ("people", "recall", spoilt_memories),
    "replied": ("people", "replied", lambda asked: ["", " \n"]),
    "toy": (TOY, toy_task.VERIFIERS[0], lambda asked: ["no", "", f"{asked.gold[0]} "]),
}
"""For each verifier a task with gold answers, its name, and how to corrupt them."""


@pytest.mark.parametrize("name", PLUG_INS)
def test_every_verifier_accepts_gold_and_refuses_corrupted_gold(name: str) -> None:
    task, verifier, spoilt = PLUG_INS[name]
    verify, faults = load_verifier(verifier), {*Fault, *faults_of(verifier)}
    for asked in suite(task).draw(25, split="self-check", seed=0):
        good = verify(asked, replace(attempt(""), replies=asked.gold))
        assert (good.status, good.right, good.fault, good.reason) == (Status.PASS, True, Fault.NONE, "")
        for text in spoilt(asked):
            bad = verify(asked, attempt(text))
            assert bad.status is Status.FAIL and bad.reason, text
            assert bad.fault in faults - {Fault.NONE}, text


def test_every_verifier_by_name_checks_itself() -> None:
    """Scorers of records do so in `scorers/test_scorers.py`."""
    assert {name for name, module in VERIFIERS.items() if ".scorers." not in module} <= set(PLUG_INS)


def test_both_checkers_declare_their_faults() -> None:
    assert faults_of("rules") == {fault.value: fault.meaning for fault in ProofFault}
    assert set(faults_of("z3")) < set(faults_of("rules"))
    assert all(text.endswith(".") and text[0].isupper() for text in faults_of("rules").values())


def test_a_verdict_without_a_fault_passes_and_any_other_fails() -> None:
    options = {"verifier": "mine", "answer": "4", "reason": "no"}
    passed = verdict_on(ASKED, attempt("4", sample=3), fault=Fault.NONE, **options)
    assert (passed.status, passed.right, passed.reason) == (Status.PASS, True, "")
    assert (passed.problem_id, passed.sample, passed.answer, passed.verifier) == ("p", 3, "4", "mine")
    failed = verdict_on(ASKED, attempt("4"), fault="odd", **options)
    assert (failed.status, failed.right, failed.fault, failed.reason) == (Status.FAIL, False, "odd", "no")


def test_the_faults_of_several_are_those_of_all() -> None:
    assert faults_of(f"z3{AND}{BAD}") == faults_of("z3") | faults_of(BAD)
    assert "sleepy" in faults_of(f"z3{AND}{BAD}")
    assert faults_of(toy_task.VERIFIERS[0]) == {}


def _verdict(status: Status, name: str, proved: ProofSteps | None = None) -> Verdict:
    return Verdict(
        problem_id="p",
        sample=0,
        status=status,
        right=True,
        answer="",
        fault=Fault.NONE,
        verifier=name,
        reason="" if status is Status.PASS else "no",
        grade=0.5,
        proof=proved,
    )


def first_pass(problem: Problem, attempt: Attempt) -> Verdict:
    return replace(rules.verify(ASKED, attempt), grade=0.5)


def second_pass(problem: Problem, attempt: Attempt) -> Verdict:
    return _verdict(Status.PASS, "second")


def second_fail(problem: Problem, attempt: Attempt) -> Verdict:
    return _verdict(Status.FAIL, "second", ProofSteps(valid=False, steps=(), num_valid=0, fault_step=2))


def second_undecided(problem: Problem, attempt: Attempt) -> Verdict:
    return _verdict(Status.UNDECIDED, "second")


def third_pass(problem: Problem, attempt: Attempt) -> Verdict:
    return _verdict(Status.PASS, "third")


def third_fail(problem: Problem, attempt: Attempt) -> Verdict:
    return _verdict(Status.FAIL, "third")


def in_turn(*names: str) -> Verdict:
    verify = load_verifier(AND.join(f"{__file__}:{name}" for name in names))
    return verify(problem(CHAIN, "Max is sour."), attempt(PROOF))


def test_several_verifiers_pass_together() -> None:
    verdict = in_turn("first_pass", "second_pass", "third_pass")
    assert (verdict.status, verdict.verifier) == (Status.PASS, "rules + second + third")
    assert verdict.grade == 0.5 and proof(verdict).valid


@pytest.mark.parametrize(
    ("names", "fault", "reason", "fault_step"),
    [
        (("second_fail",), Fault.VERIFIERS_DISAGREE, "rules accepts, second refutes: no", 2),
        (("second_fail", "third_pass"), Fault.VERIFIERS_DISAGREE, "rules accepts, second refutes: no", 2),
        (
            ("second_pass", "third_fail"),
            Fault.VERIFIERS_DISAGREE,
            "rules + second accepts, third refutes: no",
            0,
        ),
        (("second_undecided", "third_fail"), Fault.VERIFIER_LIMIT, "rules accepts, second cannot say: no", 0),
    ],
)
def test_a_pass_that_another_does_not_confirm_is_undecided(
    names: tuple[str, ...], fault: Fault, reason: str, fault_step: int
) -> None:
    """Nobody gains from it: nothing is valid, and the lines stay to be read. An answer that nobody refutes
    stays as right as both say that it is."""
    verdict = in_turn("first_pass", *names)
    assert (verdict.status, verdict.grade) == (Status.UNDECIDED, None)
    assert verdict.right == (fault is Fault.VERIFIER_LIMIT)
    assert (verdict.fault, verdict.reason) == (fault, reason)
    assert (proof(verdict).valid, proof(verdict).fault_step) == (False, fault_step)
    assert len(proof(verdict).steps) == 2


def test_a_verdict_without_a_proof_gets_none_where_verifiers_disagree() -> None:
    verdict = in_turn("second_pass", "third_fail")
    assert (verdict.status, verdict.proof) == (Status.UNDECIDED, None)


def test_the_second_verifier_is_not_asked_about_what_the_first_refuses() -> None:
    verdict = in_turn("third_fail", "first_pass")
    assert (verdict.status, verdict.verifier, verdict.grade) == (Status.FAIL, "third", 0.5)
