"""Verifiers that misbehave, as ``tests/support/bad_verifiers.py:function``: what a pool must survive.

What to do is in the attempt's text, so that one batch can mix good items with bad ones.
"""

import os
import signal
import time
from dataclasses import replace

from engine.records import Attempt, Problem, Verdict
from engine.verify.rules import verify


def act(problem: Problem, attempt: Attempt) -> Verdict:
    """Do as the text says; any other text is checked."""
    match attempt.text.split():
        case ["sleep", seconds]:
            time.sleep(float(seconds))
        case ["spin"]:
            while True:
                pass
        case ["eat"]:
            hoard = []
            while True:
                hoard.append(bytearray(2**24))
        case ["exit", code]:
            os._exit(int(code))
        case ["crash"]:
            os.kill(os.getpid(), signal.SIGSEGV)
        case ["raise"]:
            raise RuntimeError("no idea\nwhat to do")
        case ["write", path]:
            with open(path, "w") as file:
                file.write("x")
        case ["print"]:
            print("V{}", flush=True)
        case ["nothing"]:
            return None  # type: ignore[return-value]
        case ["pid"]:
            return _with_reason(problem, attempt, str(os.getpid()))
        case ["environment"]:
            return _with_reason(problem, attempt, " ".join(sorted(os.environ)))
    return verify(problem, attempt)


def broken(problem: Problem, attempt: Attempt) -> Verdict:
    """Answers for another attempt than it was asked about."""
    return replace(verify(problem, attempt), sample=attempt.sample + 1)


def _with_reason(problem: Problem, attempt: Attempt, reason: str) -> Verdict:
    return replace(verify(problem, attempt), reason=reason)
