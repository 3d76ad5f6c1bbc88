"""Building verdicts, for verifiers to which an answer is right or wrong and nothing else counts."""

from engine.records import Attempt, Fault, Problem, Status, Verdict


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
