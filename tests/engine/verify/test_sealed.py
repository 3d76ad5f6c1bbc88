"""The sealed checker accepts whatever the rules accept, and brute force confirms whatever it accepts.

Where the two differ, the rules refuse a sound line for one of the listed reasons.
"""

import random

import pytest

from engine.logic.entailment import Entailment
from engine.logic.limits import MAX_CHARS, MAX_LINES
from engine.logic.sealed.steps import Steps
from engine.records import Attempt, Fault, Problem, Status
from engine.verify import load_verifier, sealed
from engine.verify.pool import VerifierPool
from tests.support.mutations import compare_derivations, compare_mutations, many_assumptions
from tests.support.proof_helpers import CHAIN, PROOF, attempt, problem, proof
from tests.support.suites import suite


def test_gold_proofs_pass_and_say_so_by_name() -> None:
    drawn = suite(slices={"hops": list(range(1, 9)), "irrelevant": [0, 3], "distractors": [0, 2]})
    for asked in drawn.draw(200, split="sealed", seed=3):
        verdict = sealed.verify(asked, attempt(asked.gold[0]))
        assert verdict.status is Status.PASS and verdict.verifier == "z3 5.4.0"
        assert proof(verdict).num_valid == len(proof(verdict).steps)


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        (PROOF.replace("[2 5 mp]", "[2 5 anything]"), Status.PASS, ""),
        (PROOF.replace("[2 5 mp]", "[1 2 4 mp]"), Status.PASS, ""),
        (PROOF.replace("[2 5 mp]", "[1 4 mp]"), Status.FAIL, "line 6: it does not follow"),
        (PROOF.replace("not sour. [2", "sour. [2"), Status.FAIL, "line 6: it does not follow"),
        (PROOF.replace("False", "True"), Status.FAIL, "does not make the answer True"),
        (PROOF.replace("[6]", "[7]"), Status.FAIL, "numbered 7 where 6 comes next"),
        (PROOF.replace("Max is a tumpus", "Max is tumpus"), Status.FAIL, "article"),
        ("Max is not sour. [assume] [5]\nAnswer: False", Status.FAIL, "does not make the answer False"),
    ],
)
def test_only_what_follows_matters(text: str, status: Status, reason: str) -> None:
    verdict = sealed.verify(problem(CHAIN, "Max is sour.", "False", notation="english"), attempt(text))
    assert verdict.status is status and reason in verdict.reason


@pytest.mark.slow
def test_both_in_turn_in_a_limited_process() -> None:
    asked = problem(CHAIN, "Max is sour.", "False", notation="english")
    lenient = PROOF.replace("[2 5 mp]", "[2 5 anything]")
    with VerifierPool("rules + z3", num_processes=1, seconds=5, memory_mib=512) as pool:
        good, refused = pool.verify([(asked, attempt(PROOF)), (asked, attempt(lenient, sample=1))])
    assert (good.status, good.verifier) == (Status.PASS, "rules + z3 5.4.0")
    assert (refused.status, refused.verifier) == (Status.FAIL, "rules")


def test_a_line_that_a_small_world_refutes_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Entailment, "follows", lambda *_: None)
    asked = problem(("all x (P(x) -> Q(x))", "Q(a)"), "P(a)", notation="first_order")
    verdict = sealed.verify(asked, attempt("P(a) [1 2 mp] [3]\nAnswer: True"))
    assert verdict.status is Status.FAIL and verdict.reason == (
        "line 3: it does not follow from what it cites; a world without it has 1 thing: a. "
        "True: Q(a); nothing else."
    )


HOPS = ("all x (P(x) -> Q(x))", "all x (Q(x) -> R(x))")
"""P to R takes two steps, which the rules refuse as one and Z3 needs the quantifiers for."""


def two_hops(num: int) -> tuple[Problem, Attempt]:
    """A proof of so many lines, each of two steps."""
    premises = [*HOPS, *(f"P(a{k})" for k in range(num))]
    lines = [f"R(a{k}) [1 2 {k + 3} no] [{num + 3 + k}]" for k in range(num)]
    return problem(premises, f"R(a{num - 1})"), attempt("\n".join([*lines, "Answer: True"]))


def test_a_problem_too_hard_for_z3_is_undecided_and_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Entailment, "follows", lambda *_: None)
    alone = sealed.verify(*two_hops(2))
    assert (alone.status, alone.fault) == (Status.UNDECIDED, Fault.VERIFIER_LIMIT)
    assert alone.reason == "line 5: Z3 gave up"
    other = problem([*HOPS, "P(a0)", "P(a1)"], "R(a1)", "False")
    wrong = sealed.verify(other, two_hops(2)[1])
    assert (wrong.status, wrong.fault) == (Status.FAIL, Fault.WRONG_ANSWER)
    assert (wrong.reason, proof(wrong).fault_step) == ("the answer is False, got True", 0)
    monkeypatch.setattr(Steps, "follows", lambda *_: False)
    asked = problem(CHAIN, "Max is sour.", "False", notation="english")
    verdict = load_verifier("rules + z3")(asked, attempt(PROOF))
    assert verdict.status is Status.UNDECIDED and verdict.right and not proof(verdict).valid
    assert verdict.reason == "rules accepts, z3 5.4.0 cannot say: line 5: Z3 gave up"


@pytest.mark.slow
def test_a_long_proof_under_many_assumptions_passes_both_within_the_limits() -> None:
    asked, given = many_assumptions()
    assert len(given.text) < MAX_CHARS and len(given.text.split("\n")) < MAX_LINES
    with VerifierPool("rules + z3", num_processes=1, seconds=5, memory_mib=512) as pool:
        (verdict,) = pool.verify([(asked, given)])
    assert (verdict.status, verdict.verifier, verdict.reason) == (Status.PASS, "rules + z3 5.4.0", "")


@pytest.mark.parametrize(("allowed", "status"), [(1_000_000, Status.PASS), (100, Status.UNDECIDED)])
def test_the_work_on_a_whole_proof_is_limited(
    allowed: int, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.logic.entailment.MAX_WORK", allowed)
    verdict = sealed.verify(*two_hops(40))
    assert verdict.status is status
    steps = proof(verdict).steps
    valid = [step.valid for step in steps]
    assert valid == sorted(valid, reverse=True)
    assert {step.reason for step in steps if not step.valid} <= {"Z3 gave up"}


def test_a_verdict_does_not_depend_on_what_was_checked_before() -> None:
    """Z3 finds instances of quantifiers within quantifiers, or gives up, by the order in which it works."""
    deep = " ".join(f"-all v{level}" for level in range(6))
    premises = [f"all x {deep} R(x, v0, v1, v2, v3, v4, v5)", "Q(a)"]
    claim = f"{deep} R(a, v0, v1, v2, v3, v4, v5)"
    twice = [(problem(premises, claim), attempt(f"{claim} [1 ui] [3]\nAnswer: True"))] * 2
    two_steps = problem([*HOPS, f"{deep} R(a)".replace("-all v0", "all v0"), "P(a)"], "R(a)")
    others = [two_hops(3), (two_steps, attempt("R(a) [1 2 4 no] [5]\nAnswer: True")), many_assumptions()]
    items = [*twice, *others, *twice, *others]
    verdicts = [sealed.verify(asked, given) for asked, given in items]
    assert verdicts[:5] == verdicts[5:]
    assert [sealed.verify(asked, given) for asked, given in reversed(items)] == verdicts[::-1]
    assert {verdict.status for verdict in verdicts[:2]} == {Status.PASS}


@pytest.mark.slow
def test_both_checkers_agree_on_mutated_proofs_but_for_the_listed_reasons() -> None:
    found = compare_mutations(random.Random(1), 1_500)
    assert found["both pass"] > 50 and found["both refuse"] > 500
    assert {"superfluous citation", "several steps in one", "wrong rule", "no progress"} <= found.keys()


@pytest.mark.slow
def test_random_natural_deduction_passes_both() -> None:
    found = compare_derivations(random.Random(0), 60)
    assert found["accepted"] > 600 and found["PASS"] > 15
    assert {"superfluous citation", "several steps in one", "no progress"} <= found.keys()
