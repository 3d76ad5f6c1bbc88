"""Recall: whether each reply of a dialogue holds the values that it must, and none that it must not.

Values are compared whole. Case, accents and signs do not count, a number is its value, a date is one in any
form that can be read in one way. A reply that gives a second answer beside the right one, denies the right
one, or says that it does not know, holds nothing. Three phrases stand for what is said in many ways: ``I
don't know``, ``no`` and ``yes``.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from engine.people.ignorance import admits_ignorance, claim_beside_ignorance
from engine.people.replies import Reply, affirms, denies
from engine.people.sentences import NO, UNKNOWN, YES
from engine.records import Attempt, Fault, Problem, Recall, Verdict
from engine.verify.verdicts import verdict_on

NAME = "recall"
FAULTS = {
    "forgotten": "The reply does not hold the value.",
    "wrong_value": "The reply gives another value, alone or beside the right one.",
    "contaminated": "The reply holds a value of somebody else.",
    "invented": "The reply answers about somebody of whom nothing was told.",
    "confirmed": "The reply agrees to a false premise, or does not deny it.",
    "denied": "The reply denies a true premise, or does not agree to it.",
}
_SHOWN = 60


class _Fault(NamedTuple):
    name: str
    reason: str


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge the replies of a dialogue, turn by turn. PASS: every turn is right; `grade` is the share that is.

    Raises ValueError for a problem that says nothing about what its replies must hold.
    """
    faults = _faults(problem, attempt)
    turn, first = next(((turn, fault) for turn, fault in enumerate(faults) if fault), (len(faults) - 1, None))
    where = f"turn {turn + 1}: " if len(faults) > 1 and first else ""
    verdict = verdict_on(
        problem,
        attempt,
        verifier=NAME,
        answer=_short(attempt.replies[turn]),
        fault=first.name if first else Fault.NONE,
        reason=f"{where}{first.reason}" if first else "",
    )
    return replace(verdict, grade=sum(fault is None for fault in faults) / len(faults))


def turns_right(problem: Problem, attempt: Attempt) -> tuple[bool, ...]:
    """Which turns of a dialogue are right. Raises ValueError as `verify` does."""
    return tuple(fault is None for fault in _faults(problem, attempt))


def _faults(problem: Problem, attempt: Attempt) -> list[_Fault | None]:
    truth = problem.truth
    if not isinstance(truth, Recall):
        raise ValueError(f"recall needs a problem with phrases to expect, got {truth.kind}")
    lengths = {len(problem.turns), len(truth.expected), len(truth.forbidden), len(attempt.replies)}
    if len(lengths) > 1 or not problem.turns:
        raise ValueError("recall needs a reply, and phrases to expect and to forbid, for each of the turns")
    return [
        _fault(Reply.to(asked, text, gold, premise=NO in expected), expected, forbidden)
        for asked, text, gold, expected, forbidden in zip(
            problem.turns,
            attempt.replies,
            problem.gold or ("",) * len(problem.turns),
            truth.expected,
            truth.forbidden,
            strict=True,
        )
    ]


def _fault(reply: Reply, expected: Sequence[str], forbidden: Sequence[str]) -> _Fault | None:
    """The first thing wrong with a reply; None where nothing is."""
    got = f"got '{_short(reply.text)}'"
    if not reply.text.strip():
        return _Fault("forgotten", "the reply is empty")
    for phrase in forbidden:
        if phrase not in (YES, NO) and reply.gives(phrase):
            return _Fault("contaminated", f"'{phrase}' is somebody else's, {got}")
    if UNKNOWN in expected:
        return _of_ignorance(reply, got)
    if (reply.premise or YES in forbidden) and affirms(reply.text):
        return _Fault("confirmed", f"the premise is false, {got}")
    values = [phrase for phrase in expected if phrase not in (NO, YES)]
    for value in values:
        if fault := _of_value(reply, value, values, got):
            return fault
    if reply.premise and not denies(reply.text):
        return _Fault("confirmed", f"the premise is false and is not denied, {got}")
    is_true = YES in expected
    if (is_true and not affirms(reply.text)) or ((is_true or NO in forbidden) and denies(reply.text)):
        return _Fault("denied", f"the premise is true, {got}")
    return None


def _of_ignorance(reply: Reply, got: str) -> _Fault | None:
    if not admits_ignorance(reply.text):
        return _Fault("invented", f"nothing was told of that, {got}")
    if claim := claim_beside_ignorance(reply.text, reply.asked):
        return _Fault("invented", f"nothing was told of that, got also '{_short(claim)}'")
    return None


def _of_value(reply: Reply, value: str, wanted: Sequence[str], got: str) -> _Fault | None:
    """The fault with one of the values that the reply must give."""
    if admits_ignorance(reply.text):
        return _Fault("forgotten", f"the answer is '{value}', {got}")
    others = reply.others(value, wanted)
    if not reply.gives(value):
        return _Fault("wrong_value" if others else "forgotten", f"the answer is '{value}', {got}")
    if others:
        return _Fault("wrong_value", f"the answer is '{value}' alone, got also '{_short(others[0])}'")
    return None


def _short(text: str) -> str:
    return " ".join(text.split())[:_SHOWN]
