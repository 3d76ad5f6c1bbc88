"""The answer is one of the accepted ones, but for blanks, capitals, points, quotes and emphasis around it."""

from configs.scorers import Exact
from engine.answers import find_answer, normal
from engine.records import Attempt, Problem, Reference, Verdict
from engine.verify.scorers.scoring import Score, judged, nothing_found, right, wrong

NAME = "exact"


def score(truth: Reference, reply: str, settings: Exact) -> Score:
    """Right where what is found equals an accepted answer."""
    found = find_answer(reply, settings.find)
    if not found:
        return nothing_found(settings.find)
    # An answer that is only points and quotes counts as it stands.
    given = normal(found, case=settings.case) or found
    for answer in truth.accepted:
        if given == (normal(answer, case=settings.case) or answer):
            return right(found)
    return wrong(found, truth.accepted)


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge one reply."""
    return judged(problem, attempt, Exact, NAME, score)
