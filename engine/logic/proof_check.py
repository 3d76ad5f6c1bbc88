"""A whole proof checked against the rules of inference, line by line."""

from collections import OrderedDict
from collections.abc import Sequence

from engine.logic import FORMALIZED, NOTATIONS
from engine.logic.checker import CheckedLine, ProofChecker
from engine.logic.faults import AnyFault
from engine.logic.formulas import Formula, negate
from engine.logic.limits import too_many
from engine.logic.notation import Notation, NotationError
from engine.logic.proofs import Completion, read_completion, write_completion
from engine.records import Attempt, Fault, Problem, StepVerdict, Theory

_KEPT_CHARS = 2**20
"""Characters of the problems that are kept as read; their formulas take some fifty times as many bytes."""


def theory_of(problem: Problem) -> Theory:
    """What there is to prove. Raises ValueError for a problem that is not about a proof."""
    if not isinstance(problem.truth, Theory):
        raise ValueError(f"a proof needs a problem with a theory, got {type(problem.truth).__name__}")
    return problem.truth


class _Readings:
    """The problems read last, so many as their texts together have `_KEPT_CHARS` characters."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, tuple[str, ...], str], tuple[Notation, Formula]] = OrderedDict()
        self._num_chars = 0

    def read(self, notation: str, premises: tuple[str, ...], question: str) -> tuple[Notation, Formula]:
        key = notation, premises, question
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        reading = _read(notation, premises, question)
        self._kept[key] = reading
        self._num_chars += _size(key)
        while self._num_chars > _KEPT_CHARS:
            oldest, _ = self._kept.popitem(last=False)
            self._num_chars -= _size(oldest)
        return reading


def _size(key: tuple[str, tuple[str, ...], str]) -> int:
    """Characters of a problem, of which each statement counts some more than it has."""
    _, premises, question = key
    return sum(len(text) + 32 for text in (*premises, question))


_readings = _Readings()


def read_problem(notation: str, premises: tuple[str, ...], question: str) -> tuple[Notation, Formula]:
    """The parsed problem.

    Raises NotationError where a premise or the question is no statement, or the premises are too many;
    another ValueError for an unknown notation.
    """
    return _readings.read(notation, premises, question)


def _read(notation: str, premises: tuple[str, ...], question: str) -> tuple[Notation, Formula]:
    if notation not in NOTATIONS:
        raise ValueError(f"no notation is called '{notation}', allowed are {', '.join(NOTATIONS)}")
    if reason := too_many(premises):
        raise NotationError(reason)
    reading = NOTATIONS[notation](premises)
    return reading, reading.read_question(question)


def check_proof(
    notation: Notation, completion: Completion
) -> tuple[ProofChecker, tuple[StepVerdict, ...], list[CheckedLine]]:
    """Every line of a completion, checked: the checker after the last one, and two accounts of the lines."""
    checker = ProofChecker(notation)
    checked = [checker.add(line) for line in completion.lines]
    steps = tuple(
        StepVerdict(
            number=line.number, text=line.text, valid=judged.fault is Fault.NONE, reason=judged.reason
        )
        for line, judged in zip(completion.lines, checked, strict=True)
    )
    return checker, steps, checked


def num_distinct(checker: ProofChecker, checked: Sequence[CheckedLine]) -> int:
    """The number of distinct valid lines.

    A line that rests on an assumption never discharged is no part of any proof and does not count, so that
    assuming at will does not raise the share of valid steps.
    """
    return len({line.formula for line in checked if line.fault is Fault.NONE and line.open <= checker.closed})


def first_fault(completion: Completion, checked: Sequence[CheckedLine]) -> tuple[AnyFault, int, str]:
    """The first thing wrong with a completion, the line at fault counted from 1 (0: no one line), and why."""
    for step, (line, judged) in enumerate(zip(completion.lines, checked, strict=True), start=1):
        if judged.fault is not Fault.NONE:
            where = f"line {line.number}" if line.number else f"'{line.text[:40]}'"
            said = f"{where}: {judged.reason}" if line.text.strip() else f"row {step} of the proof is blank"
            return judged.fault, step, said
    return completion.fault, 0, completion.reason


def unsettled(answer: str, question: Formula, notation: Notation, checked: Sequence[CheckedLine]) -> str:
    """Why the last line does not settle the question as answered; empty where it does or need not.

    Without lines a premise settles it that is the question, or its opposite: what is given needs no proof.
    """
    if answer == "Unknown":
        if checked and not notation.unknown_takes_lines:
            return "an answer Unknown takes no proof lines"
        return "the last line rests on an assumption" if checked and checked[-1].open else ""
    wanted = question if answer == "True" else negate(question)
    if not checked:
        return "" if wanted in notation.premises else f"there is no proof of the answer {answer}"
    if checked[-1].formula != wanted or checked[-1].open:
        return f"the last line does not show that the question is {answer}"
    return ""


def prune(problem: Problem, attempt: Attempt) -> tuple[str, ...]:
    """A valid proof reduced to the lines that its conclusion needs: the text that models are trained on.

    Before an answer Unknown all lines stay, as none of them is its proof.
    Lines are renumbered, and claims are written as the notation shows them. Raises ValueError for an invalid
    proof.
    """
    theory = theory_of(problem)
    if theory.notation == FORMALIZED:
        from engine.logic.formalized import read_formalized  # with Z3, which no other proof needs here

        found = read_formalized(problem, theory, attempt)
        if found.reason:
            raise ValueError(f"only a valid proof can be pruned: {found.reason}")
        (rest,) = prune(found.problem, found.attempt)
        return ("\n".join([*found.header, rest]),)
    notation, question = read_problem(theory.notation, theory.premises, theory.question)
    completion = read_completion(attempt.text)
    checker, _, checked = check_proof(notation, completion)
    reason = first_fault(completion, checked)[2] or unsettled(completion.answer, question, notation, checked)
    if reason:
        raise ValueError(f"only a valid proof can be pruned: {reason}")
    num_premises = len(notation.premises)
    needed = {len(checker.known)} if checked else set()
    if completion.answer == "Unknown":
        needed = {line.number for line in checked}
    for line in reversed(checked):
        if line.number in needed:
            needed.update(line.citations)
    numbers = {number: number for number in range(1, num_premises + 1)}
    lines: list[tuple[int, str, str, tuple[int, ...]]] = []
    for line in checked:
        if line.number in needed and line.formula is not None:
            numbers[line.number] = num_premises + len(lines) + 1
            cited = tuple(numbers[number] for number in line.citations)
            lines.append((numbers[line.number], notation.show(line.formula), line.rule, cited))
    return (write_completion(lines, completion.answer),)
