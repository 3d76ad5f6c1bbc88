"""An accepted answer is a regular expression that matches all of what is found.

A pattern of a user's own can take for ever: it runs in the pool of verifiers only, which ends it.
"""

import re
from functools import cache

from configs.scorers import Regex
from engine.answers import find_answer
from engine.records import Attempt, Problem, Reference, Verdict
from engine.verify.scorers.scoring import Score, judged, nothing_found, right, wrong

NAME = "regex"


def score(truth: Reference, reply: str, settings: Regex) -> Score:
    """Right where a pattern matches from the first character to the last."""
    found = find_answer(reply, settings.find)
    if not found:
        return nothing_found(settings.find)
    if any(_compiled(pattern).fullmatch(found) for pattern in truth.accepted):
        return right(found)
    return wrong(found, truth.accepted)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge one reply."""
    return judged(problem, attempt, Regex, NAME, score)
