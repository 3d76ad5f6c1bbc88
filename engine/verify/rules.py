"""The rule checker: it asks whether every line of a proof applies one rule to exactly the lines it cites.

It is fast and labels training data. It accepts less than logic would: it refuses a sound line that names the
wrong rule, cites too much, claims nothing new, or takes several steps at once.
"""

from dataclasses import replace

from engine.logic import FORMALIZED
from engine.logic.faults import AnyFault, ProofFault
from engine.logic.notation import NotationError
from engine.logic.proof_check import (
    check_proof,
    first_fault,
    num_distinct,
    read_problem,
    theory_of,
    unsettled,
)
from engine.logic.proofs import read_completion
from engine.records import Attempt, Fault, Problem, ProofSteps, Status, Theory, Verdict
from engine.verify.verdicts import with_header

NAME = "rules"
FAULTS = {fault.value: fault.meaning for fault in ProofFault}


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge one completion. PASS: the answer is gold's, every line is valid, the last settles the question.

    Without a gold answer (empty) a valid proof is its own evidence: it PASSes, and `right` says whether the
    proof is valid; an answer Unknown is then UNDECIDED, and so is any proof about a problem that cannot be
    read. Raises ValueError for a problem that is not about a proof, and for an unknown notation.
    """
    theory = theory_of(problem)
    if theory.notation == FORMALIZED:
        return _verify_formalized(problem, theory, attempt)
    try:
        notation, question = read_problem(theory.notation, theory.premises, theory.question)
    except NotationError as error:
        return _unreadable(problem, attempt, str(error))
    completion = read_completion(attempt.text)
    answer, gold = completion.answer, theory.answer
    checker, steps, checked = check_proof(notation, completion)
    fault: AnyFault
    fault, fault_step, reason = first_fault(completion, checked)
    why_unsettled = unsettled(answer, question, notation, checked)
    valid = fault is Fault.NONE and not why_unsettled and (answer != "Unknown" or gold == "Unknown")
    right = answer == gold if gold else valid
    status = Status.PASS if right and valid else Status.FAIL
    if fault is Fault.NONE and status is Status.FAIL:
        if checked and checked[-1].open and answer != "Unknown":
            fault, fault_step = ProofFault.OPEN_ASSUMPTION, len(checked)
            reason = (
                f"the last line rests on an assumption (line {min(checked[-1].open)}) that is not discharged"
            )
        elif gold and not right:
            fault, reason = Fault.WRONG_ANSWER, f"the answer is {gold}, got {answer}"
        elif why_unsettled:
            fault, reason = ProofFault.UNSETTLED, why_unsettled
        else:
            status, reason = Status.UNDECIDED, "an answer Unknown cannot be judged without the gold answer"
    return Verdict(
        problem_id=problem.id,
        sample=attempt.sample,
        status=status,
        right=right,
        answer=answer,
        fault=fault,
        verifier=NAME,
        reason=reason,
        proof=ProofSteps(
            valid=valid, steps=steps, num_valid=num_distinct(checker, checked), fault_step=fault_step
        ),
    )


def _verify_formalized(problem: Problem, theory: Theory, attempt: Attempt) -> Verdict:
    """The verdict on what a reply formalizes and, where that is right, on the proof that follows."""
    from engine.logic.formalized import are_consistent, read_formalized  # with Z3: no other proof needs it

    try:
        found = read_formalized(problem, theory, attempt)
    except NotationError as error:
        return _unreadable(problem, attempt, str(error))
    if found.fault is Fault.NONE:
        verdict = verify(found.problem, found.attempt)
    else:
        answer = read_completion(attempt.text).answer
        fault, fault_step, reason = found.fault, found.fault_step, found.reason
        if fault is Fault.VERIFIER_LIMIT and answer and answer != (theory.answer or answer):
            fault, fault_step, reason = Fault.WRONG_ANSWER, 0, f"the answer is {theory.answer}, got {answer}"
        verdict = Verdict(
            problem_id=problem.id,
            sample=attempt.sample,
            status=Status.UNDECIDED if fault is Fault.VERIFIER_LIMIT else Status.FAIL,
            right=bool(answer) and answer == theory.answer,
            answer=answer,
            fault=fault,
            verifier=NAME,
            reason=reason,
            proof=ProofSteps(valid=False, steps=(), num_valid=0, fault_step=fault_step),
        )
    verdict = with_header(verdict, found.steps)
    is_consistent = are_consistent(theory_of(found.problem).premises)
    return replace(verdict, proof=verdict.proof and replace(verdict.proof, consistent=is_consistent))


def _unreadable(problem: Problem, attempt: Attempt, reason: str) -> Verdict:
    return Verdict(
        problem_id=problem.id,
        sample=attempt.sample,
        status=Status.UNDECIDED,
        right=False,
        answer="",
        fault=ProofFault.UNREADABLE,
        verifier=NAME,
        reason=f"the problem cannot be read: {reason}",
    )
