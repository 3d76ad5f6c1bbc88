"""Verifiers: one file and one line here each. A verifier is (problem, attempt) -> verdict."""

from collections.abc import Callable

from engine.records import Attempt, Problem, Verdict
from engine.verifiers import rules

Verifier = Callable[[Problem, Attempt], Verdict]

VERIFIERS: dict[str, Verifier] = {
    "rules": rules.verify,
}
