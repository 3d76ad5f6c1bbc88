"""A verifier of one's own: one accepted word, and no other."""

from engine.records import Attempt, Fault, Problem, Reference, Status, Verdict

FAULTS = {"chatter": "The answer holds more than one word."}


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    assert isinstance(problem.truth, Reference)
    words = attempt.text.split()
    right = bool(words) and words[0] in problem.truth.accepted
    passed = right and len(words) == 1
    return Verdict(
        problem_id=problem.id,
        sample=attempt.sample,
        status=Status.PASS if passed else Status.FAIL,
        right=right,
        answer=words[0] if words else "",
        fault=Fault.NONE if passed else "chatter" if right else Fault.WRONG_ANSWER,
        verifier="colours",
        reason="" if passed else f"the answer is {problem.truth.accepted[0]}, got {attempt.text[:40]!r}",
    )
