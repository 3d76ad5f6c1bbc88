"""What is found holds an accepted answer as whole words, whatever else it says: prefer `exact`."""

import re

from configs.scorers import Contains
from engine.answers import find_answer, normal
from engine.records import Attempt, Problem, Reference, Verdict
from engine.verify.scorers.scoring import Score, judged, nothing_found, right, wrong

NAME = "contains"


def score(truth: Reference, reply: str, settings: Contains) -> Score:
    """Right where an accepted answer stands between characters that are no part of a word or number."""
    found = find_answer(reply, settings.find)
    if not found:
        return nothing_found(settings.find)
    given = normal(found, case=settings.case)
    for answer in truth.accepted:
        wanted = re.escape(normal(answer, case=settings.case) or answer)
        # 4 is not in 4.5, 42 or 1,4.
        if re.search(rf"(?<!\w)(?<!\d[.,])(?<![-−]){wanted}(?!\w)(?![.,]\d)", given):
            return right(found)
    return wrong(found, truth.accepted)


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge one reply."""
    return judged(problem, attempt, Contains, NAME, score)
