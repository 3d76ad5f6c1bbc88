"""The sealed checker: it asks whether every line follows, whatever rule it names. It judges at the gate only.

It shares the formula type with the rule checker and no code: it reads the text itself
(`engine.logic.sealed`), keeps its own account of assumptions, and asks Z3 instead of rules. It takes a line
as the statement that its claim is true wherever the assumptions under it are, so a mistake in that account
cannot make an unsound line pass. It must accept whatever the rules accept. It also accepts a line that names
the wrong rule, cites too much, claims nothing new, takes several steps at once, or follows from a
contradiction.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from engine.logic.entailment import NAME
from engine.logic.faults import AnyFault, ProofFault
from engine.logic.formulas import Formula
from engine.logic.sealed import Unreadable
from engine.logic.sealed.formalized import says_the_same, split_formalized
from engine.logic.sealed.proof import SealedProof, opposite
from engine.logic.sealed.reader import SealedLine, SealedReader, split_completion
from engine.logic.sealed.unknown import is_left_open
from engine.records import Attempt, Fault, Problem, ProofSteps, Status, StepVerdict, Theory, Verdict
from engine.verify.verdicts import with_header

FAULTS = {
    fault.value: fault.meaning
    for fault in (
        ProofFault.UNREADABLE,
        ProofFault.UNKNOWN_SYMBOL,
        ProofFault.MISFORMALIZED,
        ProofFault.BAD_LINE_NUMBER,
        ProofFault.BAD_CITATION,
        ProofFault.WRONG_CLAIM,
        ProofFault.UNSETTLED,
    )
}


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge one completion as `engine.verify.rules.verify` does, line by line through Z3.

    The verdict is UNDECIDED where Z3 gives up on a line and refutes none, unless the answer is wrong, and
    where the problem cannot be read. Raises ValueError for a problem that is not about a proof.
    """
    theory = problem.truth
    if not isinstance(theory, Theory):
        raise ValueError(f"a proof needs a problem with a theory, got {type(theory).__name__}")
    if theory.notation == "formalized":
        return _verify_formalized(problem, theory, attempt)
    try:
        reader = SealedReader(theory.notation, theory.premises)
        asked = reader.read_question(theory.question)
    except Unreadable as error:
        reason = f"the problem cannot be read: {error}"
        return _verdict(problem, attempt, Status.UNDECIDED, fault=ProofFault.UNREADABLE, reason=reason)
    try:
        lines, answer = split_completion(attempt.text)
    except Unreadable as error:
        return _verdict(problem, attempt, Status.FAIL, fault=Fault.UNPARSED, reason=str(error))
    proof, rows = SealedProof(reader), attempt.text.split("\n")
    steps: list[StepVerdict] = []
    faults: list[tuple[AnyFault, int, str]] = []
    fault: AnyFault
    worlds: tuple[str, ...] = ()
    for index, line in enumerate(lines, start=1):
        fault, reason = proof.add(line)
        number = line.number if isinstance(line, SealedLine) else 0
        steps.append(StepVerdict(number=number, text=rows[index - 1], valid=not reason, reason=reason))
        if fault is not Fault.NONE:
            faults.append((fault, index, f"line {len(reader.premises) + index}: {reason}"))
    # A refuted line comes before a line on which Z3 gave up.
    faults.sort(key=lambda each: each[0] is Fault.VERIFIER_LIMIT)
    fault, fault_step, reason = faults[0] if faults else (Fault.NONE, 0, "")
    gold = theory.answer
    if fault is Fault.NONE and not proof.settles(asked, answer):
        fault, reason = ProofFault.UNSETTLED, f"what is proved does not make the answer {answer}"
    if fault is Fault.NONE and answer == "Unknown" and gold in ("", "Unknown"):
        fault, reason, worlds = _openness(reader, asked)
    is_valid = fault is Fault.NONE and (answer != "Unknown" or gold in ("", "Unknown"))
    is_right = answer == gold if gold else is_valid
    gave_up = fault is Fault.VERIFIER_LIMIT and answer == (gold or answer)
    if not is_right and not gave_up and fault in (Fault.NONE, Fault.VERIFIER_LIMIT):
        reason = f"the answer is {gold or 'not proved'}, got {answer}"
        fault, fault_step = Fault.WRONG_ANSWER, 0
    status = Status.PASS if is_valid and is_right else Status.UNDECIDED if gave_up else Status.FAIL
    return _verdict(
        problem,
        attempt,
        status,
        fault=fault,
        reason=reason,
        fault_step=fault_step,
        answer=answer,
        is_right=is_right,
        is_valid=is_valid,
        steps=steps,
        worlds=worlds,
    )


def _verify_formalized(problem: Problem, theory: Theory, attempt: Attempt) -> Verdict:
    """The verdict on the formulas that a reply gives the sentences, and on the proof that follows them."""
    try:
        SealedReader("first_order", theory.premises).read_question(theory.question)
    except Unreadable as error:
        reason = f"the problem cannot be read: {error}"
        return _verdict(problem, attempt, Status.UNDECIDED, fault=ProofFault.UNREADABLE, reason=reason)
    answer = _answer_in(attempt.text)
    faulty = partial(_verdict, answer=answer, is_right=bool(answer) and answer == theory.answer)
    try:
        texts, rest = split_formalized(attempt.text, len(theory.premises))
        is_same = says_the_same(texts, (*theory.premises, theory.question))
    except Unreadable as error:
        return faulty(problem, attempt, Status.FAIL, fault=Fault.UNPARSED, reason=str(error))
    header = [
        StepVerdict(number=number, text=row, valid=True, reason="")
        for number, row in enumerate(attempt.text.split("\n")[: len(texts)], start=1)
    ]
    if is_same:
        *premises, question = texts
        truth = replace(theory, premises=tuple(premises), question=question, notation="first_order")
        verdict = verify(replace(problem, truth=truth), replace(attempt, replies=(rest,)))
        return with_header(verdict, header)
    if is_same is None:
        if answer and answer != (theory.answer or answer):
            reason = f"the answer is {theory.answer}, got {answer}"
            return faulty(problem, attempt, Status.FAIL, fault=Fault.WRONG_ANSWER, reason=reason)
        reason = "Z3 gave up on what the formulas say"
        return faulty(problem, attempt, Status.UNDECIDED, fault=Fault.VERIFIER_LIMIT, reason=reason)
    reason = "the formulas do not say what the sentences do"
    return faulty(problem, attempt, Status.FAIL, fault=ProofFault.MISFORMALIZED, reason=reason)


def _answer_in(text: str) -> str:
    """The answer that a reply ends in, whatever stands before it; empty where it ends in none."""
    try:
        return split_completion(text)[1]
    except Unreadable:
        return ""


def _openness(reader: SealedReader, asked: Formula) -> tuple[AnyFault, str, tuple[str, ...]]:
    """What is wrong with an answer Unknown, or the worlds of it: it passes only where two of them show that
    both are possible.

    Worlds in which rules lead one way are not told: in them a thing may be cold and not cold.
    """
    meant = [*reader.premises, asked, opposite(asked)]
    *premises, claim, denial = reader.one_way(meant)
    is_open, worlds = is_left_open(premises, claim, denial)
    if is_open is None:
        return Fault.VERIFIER_LIMIT, "Z3 gave up on whether the premises leave the question open", ()
    if not is_open:
        return ProofFault.UNSETTLED, "the premises do not leave it open", ()
    return Fault.NONE, "", worlds if [*premises, claim, denial] == meant else ()


def _verdict(
    problem: Problem,
    attempt: Attempt,
    status: Status,
    *,
    fault: AnyFault,
    reason: str,
    fault_step: int = 0,
    answer: str = "",
    is_right: bool = False,
    is_valid: bool = False,
    steps: Sequence[StepVerdict] = (),
    worlds: tuple[str, ...] = (),
) -> Verdict:
    return Verdict(
        problem_id=problem.id,
        sample=attempt.sample,
        status=status,
        right=is_right,
        answer=answer,
        fault=fault,
        verifier=NAME,
        reason=reason,
        proof=ProofSteps(
            valid=is_valid,
            steps=tuple(steps),
            num_valid=len({step.text for step in steps if step.valid}),
            fault_step=fault_step,
        ),
        worlds=worlds,
    )
