"""A function of a user's own: ``function(reply, answers)`` returns True, False, or a sentence.

It runs in the pool of verifiers only.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from configs.scorers import Python
from engine.answers import find_answer
from engine.plugins import load_plugin
from engine.records import Attempt, Fault, Problem, Reference, Verdict
from engine.verify.scorers.scoring import Score, judged, nothing_found, right, wrong

NAME = "python"


def score(truth: Reference, reply: str, settings: Python) -> Score:
    """Right where the function returns True. Raises TypeError where it returns anything else it may not."""
    found = find_answer(reply, settings.find)
    if not found:
        return nothing_found(settings.find)
    said = _function(settings.function)(found, list(truth.accepted))
    if said is True:
        return right(found)
    if said is False:
        return wrong(found, truth.accepted)
    if isinstance(said, str) and said.strip():
        return Score(found, Fault.WRONG_ANSWER, said.strip())
    raise TypeError(f"{settings.function} must return True, False or a sentence, got {said!r:.60}")


@cache
def _function(name: str) -> Callable[[str, list[str]], Any]:
    path, _, function = name.rpartition(":")
    own: Callable[[str, list[str]], Any] = getattr(load_plugin(Path(path), "scorer", (function,)), function)
    return own


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge one reply."""
    return judged(problem, attempt, Python, NAME, score)
