"""What an answer is worth.

A verifier is (problem, attempt) -> verdict: one file, and one line in `VERIFIERS`. A user's own verifier is a
function of a Python file, ``path/to/file.py:function``. Several can be asked in turn, as ``rules + z3``: an
answer passes where all of them say so. Next to its ``verify`` a verifier declares ``FAULTS``: the names of
the failures that only it can find, each with its meaning in a sentence.
"""

import importlib
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from engine.plugins import PluginError, load_plugin

if TYPE_CHECKING:
    # Not at run time: `ratchet --help` imports this package and must not wait for pydantic.
    from engine.records import Attempt, Problem, Verdict

Verifier = Callable[["Problem", "Attempt"], "Verdict"]

VERIFIERS = {
    "rules": "engine.verify.rules",
    "z3": "engine.verify.sealed",
    "unlabelled": "engine.verify.unlabelled",
    "gym": "engine.verify.gym",
    "recall": "engine.verify.recall",
    "replied": "engine.verify.replied",
    "exact": "engine.verify.scorers.exact",
    "numeric": "engine.verify.scorers.numeric",
    "choice": "engine.verify.scorers.choice",
    "regex": "engine.verify.scorers.regex",
    "contains": "engine.verify.scorers.contains",
    "semantic": "engine.verify.scorers.semantic",
    "json": "engine.verify.scorers.json_value",
    "python": "engine.verify.scorers.python",
}
"""The module of each name; it is imported when it is used, because Z3 is large."""
LEAST_MIB = {"semantic": 8_192}
"""Address space that a verifier needs, whatever `verify.memory_mib` says: torch maps much and uses little."""
AND = " + "
_AND = re.compile(r"(?:^|\s+)\+(?:\s+|$)")


def load_verifier(name: str) -> Verifier:
    """A key of `VERIFIERS`, ``path/to/file.py:function``, or several of these joined by `AND`.

    Raises PluginError for anything else, and for a file that cannot be used.
    """
    first, *others = [_load(each)[0] for each in _names_in(name)]
    return partial(in_turn, first, others) if others else first


def faults_of(name: str) -> dict[str, str]:
    """The faults that a verifier declares, or several joined by `AND`: name -> meaning.

    Raises PluginError as `load_verifier` does, and where ``FAULTS`` is no dictionary of texts.
    """
    faults: dict[str, str] = {}
    for each in _names_in(name):
        declared = getattr(_load(each)[1], "FAULTS", {})
        is_dict = isinstance(declared, dict)
        if not is_dict or not all(isinstance(text, str) for item in declared.items() for text in item):
            raise PluginError(
                f"FAULTS of the verifier '{each}' must be a dictionary from names to their meanings, "
                f"got {repr(declared)[:80]}"
            )
        faults |= declared
    return faults


def least_mib(name: str) -> int:
    """Address space that a verifier, or several joined by `AND`, needs at the least, in MiB."""
    return max(LEAST_MIB.get(each, 0) for each in _AND.split(name))


def require_verifiers(names: Iterable[str]) -> None:
    """Raise PluginError where one of a task's verifiers cannot be loaded, or declares its faults wrongly.

    Those of `VERIFIERS` are not imported for that.
    """
    for name in names:
        for each in _names_in(name):
            if each not in VERIFIERS:
                faults_of(each)


def _names_in(name: str) -> list[str]:
    """The verifiers that a name joins. Raises PluginError where one is missing, as in `rules +`."""
    names = _AND.split(name.strip())
    if not all(names):
        raise PluginError(
            f"a verifier is missing in '{name}'; one has a name, and several are joined as in 'rules{AND}z3'"
        )
    return names


@cache
def _load(name: str) -> tuple[Verifier, ModuleType]:
    """One verifier with its module, which runs once in a process."""
    if name in VERIFIERS:
        module = importlib.import_module(VERIFIERS[name])
        return module.verify, module
    path, separator, function = name.rpartition(":")
    if not separator or not path.endswith(".py"):
        allowed = ", ".join(VERIFIERS)
        raise PluginError(
            f"no verifier is called '{name}', allowed are {allowed} and path/to/file.py:function"
        )
    module = load_plugin(Path(path), "verifier", (function,))
    return getattr(module, function), module


def in_turn(first: Verifier, others: list[Verifier], problem: "Problem", attempt: "Attempt") -> "Verdict":
    """The first verdict, where it is PASS only if every other verifier confirms it.

    A PASS that another verifier refutes becomes UNDECIDED with the fault `VERIFIERS_DISAGREE`: one of the two
    is wrong, and nobody may gain from that. Where another one cannot say, the answer stays right if both find
    it so: a proof that nobody can judge makes a known answer no less right.
    """
    from engine.records import Status

    verdict = first(problem, attempt)
    for verifier in others:
        if verdict.status is not Status.PASS:
            break
        verdict = both(verdict, verifier(problem, attempt))
    return verdict


def both(verdict: "Verdict", other: "Verdict") -> "Verdict":
    """A verdict that passes, after another verifier has judged the same answer, as `in_turn` says."""
    from engine.records import Fault, Status

    together = f"{verdict.verifier}{AND}{other.verifier}"
    if other.status is Status.PASS:
        return replace(verdict, verifier=together, worlds=verdict.worlds or other.worlds)
    disagrees = other.status is Status.FAIL
    proof = verdict.proof and replace(
        verdict.proof, valid=False, fault_step=other.proof.fault_step if other.proof else 0
    )
    return replace(
        verdict,
        status=Status.UNDECIDED,
        right=verdict.right and other.right and not disagrees,
        grade=None,
        fault=Fault.VERIFIERS_DISAGREE if disagrees else Fault.VERIFIER_LIMIT,
        verifier=together,
        reason=f"{verdict.verifier} accepts, {other.verifier} {'refutes' if disagrees else 'cannot say'}: "
        f"{other.reason}",
        proof=proof,
    )
