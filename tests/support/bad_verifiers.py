"""Verifiers that misbehave, as ``tests/support/bad_verifiers.py:function``: a pool must survive all of them.

The attempt's text says how to misbehave, so that one batch can mix good items with bad ones.
"""

import os
import signal
import time
from dataclasses import replace

from engine.records import Attempt, Problem, Verdict
from engine.verify import rules
from engine.verify.rules import verify

FAULTS = {**rules.FAULTS, "sleepy": "The attempt asks for sleep."}


def act(problem: Problem, attempt: Attempt) -> Verdict:
    """Do what the text asks for; check any other text."""
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
        case ["fault", name]:
            return replace(verify(problem, attempt), fault=name)
        case ["pid"]:
            return _with_reason(problem, attempt, str(os.getpid()))
        case ["environment"]:
            return _with_reason(problem, attempt, " ".join(sorted(os.environ)))
    return verify(problem, attempt)


def broken(problem: Problem, attempt: Attempt) -> Verdict:
    """Answer for another attempt than the one asked about."""
    return replace(verify(problem, attempt), sample=attempt.sample + 1)


def _with_reason(problem: Problem, attempt: Attempt, reason: str) -> Verdict:
    return replace(verify(problem, attempt), reason=reason)
