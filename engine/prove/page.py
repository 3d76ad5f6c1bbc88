"""What `ratchet prove` prints: the premises, the proof line by line with its rules, and what it took."""

import json
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

from engine.logic.proofs import read_completion
from engine.logic.rules import ASSUME, RULES
from engine.prove.search import Outcome, Search
from engine.prove.styles import Posed
from engine.records import Theory
from engine.terminal import counted, printable

_CHECKERS = {"rules": "the rules of inference", "z3": "Z3"}
_ASSUMED = "What is taken for granted, until a rule closes it."


class Page:
    """What is found of each question, in their order: for people, or for programs a JSON object a line.

    Each is printed as soon as nothing more is sought for it and those before it.
    """

    def __init__(
        self, posed: Sequence[Posed], searches: Sequence[Search], model: str, most: int, as_json: bool
    ) -> None:
        """`most` is how many replies to a question are allowed, `model` the name of who gives them."""
        self._left = deque(zip(posed, searches, strict=True))
        self._model, self._most, self._as_json = model, most, as_json
        self._is_first = True

    def show(self) -> None:
        """Print what is decided, up to the first question that is not."""
        while self._left and not self._left[0][1].is_open:
            self._print(*self._left.popleft())

    def close(self, is_whole: bool) -> None:
        """Print the others: all, or of a search that was interrupted those that are decided."""
        for posed, search in self._left:
            if is_whole or not search.is_open:
                self._print(posed, search)

    def _print(self, posed: Posed, search: Search) -> None:
        if self._as_json:
            print(json.dumps(as_row(posed, search.outcome(), self._model)), flush=True)
            return
        if not self._is_first:
            print("\n---\n")
        self._is_first = False
        print_outcome(posed, search.outcome(), self._model, self._most)
        sys.stdout.flush()


def as_row(posed: Posed, outcome: Outcome, model: str) -> dict[str, Any]:
    """A question and its outcome as JSON has them."""
    theory = theory_of(posed)
    return {
        "id": posed.asked.id,
        "premises": list(theory.premises),
        "question": theory.question,
        "task": posed.tasks[0].name,
        **verified_of(outcome),
        "model": model,
        "model_id": outcome.model_id or None,
    }


def verified_of(outcome: Outcome) -> dict[str, Any]:
    """What the checkers have to do with an outcome; ``answer`` and ``proof`` are null where there is none.

    ``worlds`` are those of an answer Unknown.
    """
    return {
        "answer": outcome.answer or None,
        "proof": outcome.reply or None,
        "worlds": list(outcome.worlds),
        "reason": outcome.reason or None,
        "checkers": list(outcome.checkers),
        "samples": outcome.samples,
        "faults": outcome.faults,
    }


def theory_of(posed: Posed) -> Theory:
    """What there is to prove."""
    assert isinstance(posed.problem.truth, Theory), "the contract of a task that poses problems"
    return posed.problem.truth


def print_outcome(posed: Posed, outcome: Outcome, model: str, most: int) -> None:
    """Print one question with its proof, or why there is none."""
    theory = theory_of(posed)
    lines = read_completion(outcome.reply).lines if outcome.is_answered else ()
    wide = len(str(len(theory.premises) + len(lines)))
    for number, premise in enumerate(theory.premises, 1):
        _print(f"{number:>{wide}}  {premise}")
    _print(f"{'':>{wide}}  Question: {theory.question}\n")
    if not outcome.is_answered:
        _print(f"No answer: {outcome.reason}")
        return
    long = max((len(line.claim) for line in lines), default=0)
    for line in lines:
        cited = " ".join([line.rule, ", ".join(map(str, line.citations))]).strip()
        _print(f"{line.number:>{wide}}  {line.claim:<{long}}  {cited}")
    _print(f"{'':>{wide}}  Answer: {outcome.answer}\n")
    if outcome.answer == "Unknown":
        _print_worlds(outcome.worlds)
    for rule in dict.fromkeys(line.rule for line in lines):
        _print(f"{rule}: {_ASSUMED if rule == ASSUME else RULES[rule].explanation}")
    accepted = " and ".join(_CHECKERS.get(each, each) for each in outcome.checkers)
    drawn = f"{counted(outcome.samples, 'reply')} of at most {most}"
    _print(f"Accepted by {accepted}. It took {drawn} of {model} ({outcome.model_id}).")


def _print_worlds(worlds: Sequence[str]) -> None:
    """Print why an answer is Unknown."""
    if not worlds:
        _print("Z3 finds a world of the premises in which it holds, and one in which it does not.")
    for said, world in zip(("It holds", "It does not hold"), worlds, strict=False):
        _print(f"{said} in this world of the premises:\n  " + world.replace("\n", "\n  "))


def _print(text: str) -> None:
    print(printable(text))
