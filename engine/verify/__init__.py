"""Verifiers: one file and one line here each. A verifier is (problem, attempt) -> verdict.

Two can be asked in turn, as ``rules + z3``: a proof passes where both say so.
"""

import importlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from engine.plugins import load_plugin
from engine.records import Attempt, Fault, Problem, Status, Verdict

Verifier = Callable[[Problem, Attempt], Verdict]

VERIFIERS = {
    "rules": "engine.verify.rules",
    "z3": "engine.verify.sealed",
}
"""By name the module whose `verify` it is, imported where it is used: Z3 is large."""
AND = " + "


def load_verifier(name: str) -> Verifier:
    """A key of `VERIFIERS`, ``path/to/file.py:function``, or two of these joined by `AND`.

    Raises ValueError for anything else, and for a file that cannot be run.
    """
    first, _, second = name.partition(AND)
    return partial(_both, _load(first), _load(second)) if second else _load(first)


def _load(name: str) -> Verifier:
    if name in VERIFIERS:
        verifier: Verifier = importlib.import_module(VERIFIERS[name]).verify
        return verifier
    path, separator, function = name.rpartition(":")
    if not separator or not path.endswith(".py") or not Path(path).is_file():
        allowed = ", ".join(VERIFIERS)
        raise ValueError(
            f"no verifier is called '{name}', allowed are {allowed} and path/to/file.py:function"
        )
    given: Verifier = getattr(load_plugin(Path(path), "verifier", (function,)), function)
    return given


def _both(first: Verifier, second: Verifier, problem: Problem, attempt: Attempt) -> Verdict:
    """The first verdict, where it is PASS only if the second verifier confirms it.

    A PASS that is refuted becomes UNDECIDED with the fault `VERIFIERS_DISAGREE`: one of the two is wrong, and
    nobody may gain from that.
    """
    verdict = first(problem, attempt)
    if verdict.status is not Status.PASS:
        return verdict
    other = second(problem, attempt)
    together = f"{verdict.verifier}{AND}{other.verifier}"
    if other.status is Status.PASS:
        return replace(verdict, verifier=together)
    disagrees = other.status is Status.FAIL
    return replace(
        verdict,
        status=Status.UNDECIDED,
        answer_right=False,
        proof_valid=False,
        fault=Fault.VERIFIERS_DISAGREE if disagrees else Fault.VERIFIER_LIMIT,
        fault_step=other.fault_step,
        verifier=together,
        reason=f"{verdict.verifier} accepts, {other.verifier} {'refutes' if disagrees else 'cannot say'}: "
        f"{other.reason}",
    )
