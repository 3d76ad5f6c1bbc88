"""Building verdicts: of answers that are right or wrong, and of proofs that follow other lines."""

from collections.abc import Sequence
from dataclasses import replace

from engine.records import Attempt, Fault, Problem, Status, StepVerdict, Verdict


def verdict_on(
    problem: Problem, attempt: Attempt, *, verifier: str, answer: str, fault: str, reason: str
) -> Verdict:
    """The verdict of a verifier that passes exactly the right answers.

    `fault` is `Fault.NONE` for a right answer; `reason` then does not count.
    """
    is_right = fault == Fault.NONE
    return Verdict(
        problem_id=problem.id,
        sample=attempt.sample,
        status=Status.PASS if is_right else Status.FAIL,
        right=is_right,
        answer=answer,
        fault=fault,
        verifier=verifier,
        reason="" if is_right else reason,
    )


def with_header(verdict: Verdict, header: Sequence[StepVerdict]) -> Verdict:
    """The verdict on a reply of lines and a proof after them, made of the one on the proof.

    A verdict whose fault is in a header line already says in which; so does one without steps.
    """
    if verdict.proof is None:
        return verdict
    proof = verdict.proof
    in_proof = proof.fault_step and all(step.valid for step in header)
    return replace(
        verdict,
        proof=replace(
            proof,
            steps=(*header, *proof.steps),
            num_formulas=len(header),
            num_valid=proof.num_valid + sum(step.valid for step in header),
            fault_step=proof.fault_step + len(header) if in_proof else proof.fault_step,
        ),
    )
