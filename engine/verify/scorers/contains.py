"""What is found holds an accepted answer as whole words, whatever else it says: prefer `exact`."""

import re

from configs.scorers import Contains
from engine.answers import find_answer, normal
from engine.records import Attempt, Problem, Reference, Verdict
from engine.verify.scorers.scoring import Score, judged, nothing_found, right, wrong

NAME = "contains"
_NOT_BEFORE_NUMBER = (
    r"(?<![/^.,+#–×])(?<!\d:)(?<!\d\s)(?<![-−–×]\s)(?<!minus\s)(?<!negative\s)(?<!\d\*)(?<!\d\s[*x]\s)"
)
_NOT_AFTER_NUMBER = (
    r"(?![/^]|[.,:–-]\d|\s*%|\s\d|\s*[*×x]\s*\d|\s*(?i:hundred|thousand|million|billion|trillion|dozen))"
)
"""4 is not in 4.5, 1,4, 1/4, 3:4, 2^4, 4 %, 4-5, minus 4, 1 4, 4 x 10 or 4 million."""


def score(truth: Reference, reply: str, settings: Contains) -> Score:
    """Right where an accepted answer stands between characters that are no part of a word or number."""
    found = find_answer(reply, settings.find)
    if not found:
        return nothing_found(settings.find)
    given = normal(found, case=settings.case)
    for answer in truth.accepted:
        wanted = normal(answer, case=settings.case) or answer
        before, after = (_NOT_BEFORE_NUMBER, _NOT_AFTER_NUMBER) if _is_number(wanted) else ("", "")
        if re.search(rf"{before}(?<!\w)(?<![-−]){re.escape(wanted)}(?![\w#]|\+){after}", given):
            return right(found)
    return wrong(found, truth.accepted)


def _is_number(answer: str) -> bool:
    return re.fullmatch(r"[-+−]?\.?\d(?:[\d.,/:]*\d)?", answer) is not None


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge one reply."""
    return judged(problem, attempt, Contains, NAME, score)
