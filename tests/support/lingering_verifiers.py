"""A verifier whose items leave something behind, as ``tests/support/lingering_verifiers.py:act``."""

import signal
import time

from engine.records import Attempt, Problem, Verdict
from engine.verify import rules

FAULTS = rules.FAULTS
_MIB = 2**20
_kept: list[bytearray] = []


def act(problem: Problem, attempt: Attempt) -> Verdict:
    """Do what the text asks for, and then check it."""
    match attempt.text.split():
        case ["keep", mib]:  # memory that nothing gives back
            _kept.append(bytearray(int(mib) * _MIB))
        case ["need", mib]:
            bytearray(int(mib) * _MIB)
        case ["mine", seconds]:  # the process dies so much later, whatever it does then
            signal.setitimer(signal.ITIMER_REAL, float(seconds))
        case ["sleep", seconds]:
            time.sleep(float(seconds))
    return rules.verify(problem, attempt)
