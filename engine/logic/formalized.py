"""Sentences that a model formalizes before it proves: the notation `formalized` of a problem.

The prompt shows n sentences in English, numbered, and a question. The reply formalizes each on a line of its
own, then the question, and goes on as a proof from its own formulas, in the notation `first_order`:

    all x (Drinks(x) -> Dependent(x)) [1]
    Drinks(rina) [2]
    Dependent(rina) [?]
    Dependent(rina) [1 2 mp] [3]
    Answer: True

The premises and the question of the theory are the gold formulas. What the model calls things is its own
choice: its formulas must be equivalent to the gold ones under one renaming of predicates and constants.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.logic.faults import AnyFault, ProofFault
from engine.logic.first_order.notation import FirstOrder, parse
from engine.logic.first_order.renaming import GaveUp, renaming
from engine.logic.formulas import Formula
from engine.logic.notation import NotationError
from engine.logic.proofs import too_long
from engine.logic.solver import Limits, consistent
from engine.records import Attempt, Fault, Problem, StepVerdict, Theory

_QUICK = Limits(work=200_000, seconds=1.0, nodes=2_000, max_things=2)
"""For whether a reply's premises hold together: its formulas and its proof are judged in the same time."""
_ROW = re.compile(r"(.+) \[([1-9][0-9]{0,5}|\?)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Formalized:
    """What a reply formalizes, and the proof that follows it as a problem and an attempt of their own."""

    problem: Problem
    attempt: Attempt
    header: tuple[str, ...]
    """The lines that formalize, as written; empty texts where the reply has too few."""
    steps: tuple[StepVerdict, ...]
    """One for each of them."""
    fault: AnyFault = Fault.NONE
    fault_step: int = 0
    reason: str = ""


def read_formalized(problem: Problem, theory: Theory, attempt: Attempt) -> Formalized:
    """Split a reply and hold its formulas against the gold ones, together and where that fails one by one.

    The fault is `VERIFIER_LIMIT` where Z3 gives up on that. Raises NotationError for gold formulas that
    cannot be read.
    """
    gold = FirstOrder(theory.premises)
    wanted = [*gold.premises, gold.read_question(theory.question)]
    rows = [] if too_long(attempt.text) else attempt.text.split("\n")
    given, rest = rows[: len(wanted)], rows[len(wanted) :]
    # A sentence without a line counts as one that is formalized wrongly: what is left out is never right.
    header = [*given, *[""] * (len(wanted) - len(given))]
    labels = [*map(str, range(1, len(wanted))), "?"]
    lines = [_read_line(row, label) for row, label in zip(header, labels, strict=True)]
    texts = [line.text for line in lines]
    found = Formalized(
        problem=_derived(problem, theory, texts),
        attempt=replace(attempt, replies=("\n".join(rest),)),
        header=tuple(header),
        steps=(),
    )
    if len(given) < len(wanted):
        reason = too_long(attempt.text) or f"{len(wanted)} lines formalize, got {len(given)}"
        found = replace(found, fault=Fault.UNPARSED, reason=reason)
    elif all(line.fault is Fault.NONE for line in lines):
        found, lines = _compared_together(found, lines, wanted)
    if found.fault is not Fault.NONE or any(line.fault is not Fault.NONE for line in lines):
        lines = [_compared_alone(line, formula) for line, formula in zip(lines, wanted, strict=True)]
    steps = [
        StepVerdict(number=number, text=row, valid=line.fault is Fault.NONE, reason=line.reason)
        for number, (row, line) in enumerate(zip(header, lines, strict=True), start=1)
    ]
    return _with_first_fault(replace(found, steps=tuple(steps)), lines, num=len(wanted))


def are_consistent(premises: Sequence[str]) -> bool:
    """Whether premises that a reply has written can be read, and are found to hold together."""
    try:
        formulas = FirstOrder(premises).premises
    except NotationError:
        return False
    return consistent(formulas, _QUICK) is True


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    formula: Formula | None
    fault: AnyFault = Fault.NONE
    reason: str = ""


def _read_line(row: str, label: str) -> _Line:
    match = _ROW.fullmatch(row)
    if not match or match[2] != label:
        return _Line("", None, Fault.UNPARSED, f"not a formula: not of the form 'FORMULA [{label}]'")
    try:
        return _Line(match[1], parse(match[1]))
    except NotationError as error:
        return _Line(match[1], None, ProofFault.UNKNOWN_SYMBOL, f"not a formula: {error}")


def _compared_together(
    found: Formalized, lines: list[_Line], wanted: Sequence[Formula]
) -> tuple[Formalized, list[_Line]]:
    """Whether the formulas are the gold ones under one renaming."""
    notation = FirstOrder(())
    for place, line in enumerate(lines):
        try:
            notation.read_question(line.text)
        except NotationError as error:  # a name that an earlier line uses in another way
            lines[place] = replace(line, fault=ProofFault.UNKNOWN_SYMBOL, reason=str(error))
            return found, lines
    formulas = [line.formula for line in lines if line.formula is not None]
    try:
        if renaming(formulas, wanted) is None:
            reason = "the formulas do not use their names in one sense"
            found = replace(found, fault=ProofFault.MISFORMALIZED, reason=reason)
    except GaveUp:
        reason = "Z3 gave up on what the formulas say"
        found = replace(found, fault=Fault.VERIFIER_LIMIT, reason=reason)
    return found, lines


def _compared_alone(line: _Line, wanted: Formula) -> _Line:
    if line.formula is None or line.fault is not Fault.NONE:
        return line
    try:
        if renaming([line.formula], [wanted]) is None:
            reason = "the formula does not say what is meant"
            return replace(line, fault=ProofFault.MISFORMALIZED, reason=reason)
    except GaveUp:
        return replace(line, fault=Fault.VERIFIER_LIMIT, reason="Z3 gave up on what the formula says")
    return line


def _with_first_fault(found: Formalized, lines: Sequence[_Line], num: int) -> Formalized:
    """The first line at fault names the fault of the whole; a line that Z3 gave up on comes after others."""
    faults = [(line.fault is Fault.VERIFIER_LIMIT, place) for place, line in enumerate(lines) if line.reason]
    if not faults or found.fault is Fault.UNPARSED:
        return found
    _, place = min(faults)
    where = "the question" if place == num - 1 else f"sentence {place + 1}"
    reason = f"{where}: {lines[place].reason}"
    return replace(found, fault=lines[place].fault, fault_step=place + 1, reason=reason)


def _derived(problem: Problem, theory: Theory, texts: Sequence[str]) -> Problem:
    """The problem of which the rest of the reply is the proof."""
    premises, question = tuple(texts[: len(theory.premises)]), "".join(texts[len(theory.premises) :])
    truth = replace(theory, premises=premises, question=question, notation="first_order")
    return replace(problem, truth=truth)
