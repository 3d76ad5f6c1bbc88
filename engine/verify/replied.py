"""A whole reply, whatever it says: for tasks whose replies a judge or people compare."""

from engine.records import Attempt, Fault, Finish, Problem, Verdict
from engine.verify.verdicts import verdict_on

FAULTS: dict[str, str] = {}


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Pass any whole reply."""
    cut, empty = attempt.finish is Finish.LENGTH, not attempt.text.strip()
    fault = Fault.TOO_LONG if cut else Fault.NO_ANSWER if empty else Fault.NONE
    reason = "the reply was cut off" if cut else "the reply is empty"
    return verdict_on(problem, attempt, verifier="replied", answer="", fault=fault, reason=reason)
