"""What every scorer does: its settings are read, the answer is found in the reply, the score is a verdict.

A scorer is a pure function of the accepted answers, what was found, and its settings. They travel with the
problem (`Reference.extra`), because the process that judges reads no config.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple, TypeVar

from configs.base import Leaf
from configs.scorers import After
from engine.answers import describe_find
from engine.records import Attempt, Fault, Finish, Problem, Reference, Verdict
from engine.verify.verdicts import verdict_on

S = TypeVar("S", bound=Leaf)
_MOST_SHOWN = 80


class Score(NamedTuple):
    """What a scorer concludes."""

    found: str
    """The answer as it was found; empty where there was none."""
    fault: str
    """`Fault.NONE` where the answer is right."""
    reason: str = ""
    grade: float | None = None


Scorer = Callable[[Reference, str, S], Score]


def judged(problem: Problem, attempt: Attempt, kind: type[S], name: str, score: Scorer[S]) -> Verdict:
    """The verdict of a scorer with settings of a `kind`. Raises ValueError for a problem without answers."""
    truth = problem.truth
    if not isinstance(truth, Reference):
        raise ValueError(f"the scorer {name} judges problems with reference answers, got {truth.kind}")
    settings = _settings(kind, truth.extra.get("settings", "{}"))
    scored = score(truth, attempt.text, settings)
    if attempt.finish is Finish.LENGTH:
        # The last word could have gone on: 4 become 42, and New become New York.
        shorter = score(truth, re.sub(r"\S+\s*\Z", "", attempt.text), settings)
        scored = _cut_off(scored, shorter)
    verdict = verdict_on(
        problem,
        attempt,
        verifier=name,
        answer=scored.found[:_MOST_SHOWN],
        fault=scored.fault,
        reason=scored.reason,
    )
    return replace(verdict, grade=scored.grade)


def _cut_off(scored: Score, shorter: Score) -> Score:
    """The score of a reply that was cut off: right only where it is so without its last word too."""
    if scored.fault == shorter.fault == Fault.NONE:
        return scored
    reason = scored.reason or "it may not have ended with this answer"
    return scored._replace(fault=Fault.TOO_LONG, reason=f"the reply was cut off: {reason}")


@cache
def _settings(kind: type[S], text: str) -> S:
    return kind.model_validate_json(text)


def nothing_found(find: str | After) -> Score:
    """The score of a reply in which no answer was found."""
    return Score("", Fault.NO_ANSWER, f"no answer was found ({describe_find(find)})")


def right(found: str) -> Score:
    """The score of a right answer."""
    return Score(found, Fault.NONE)


def wrong(found: str, accepted: Sequence[str]) -> Score:
    """The score of an answer that is none of those accepted."""
    return Score(found, Fault.WRONG_ANSWER, f"the answer is {listed(accepted)}, got '{found[:_MOST_SHOWN]}'")


def listed(accepted: Sequence[str]) -> str:
    """Accepted answers in a sentence."""
    shown = [f"'{each[:_MOST_SHOWN]}'" for each in accepted[:3]]
    return " or ".join(shown) + (" or another" if len(accepted) > 3 else "")
