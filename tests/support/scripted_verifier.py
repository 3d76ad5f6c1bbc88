"""Verifiers of what scripted models say, as ``tests/support/scripted_verifier.py:function``."""

from dataclasses import replace

from engine.records import Attempt, Problem, Status, Verdict
from engine.verify import rules, sealed

FAULTS: dict[str, str] = {}


def confirm(problem: Problem, attempt: Attempt) -> Verdict:
    return sealed.verify(problem, replace(attempt, replies=problem.gold))


def refute(problem: Problem, attempt: Attempt) -> Verdict:
    return replace(confirm(problem, attempt), status=Status.FAIL, reason="line 4 is wrong")


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    while attempt.text == "hang":
        pass
    replies = problem.gold if attempt.text == "prove" else attempt.replies
    return rules.verify(problem, replace(attempt, replies=replies))
