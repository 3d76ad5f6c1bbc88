"""The sealed checker: it asks whether every line follows, whatever rule it names. It judges at the gate only.

It shares the formula type with the rule checker and no code: it reads the text itself
(`engine.logic.sealed`), keeps its own account of assumptions, and asks Z3 instead of rules. It takes a line
as the statement that its claim is true wherever the assumptions under it are, so a mistake in that account
cannot make an unsound line pass. It must accept whatever the rules accept. It also accepts a line that names
the wrong rule, cites too much, claims nothing new, takes several steps at once, or follows from a
contradiction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from engine.logic.entailment import NAME, Entailment
from engine.logic.faults import AnyFault, ProofFault
from engine.logic.formulas import Formula, Implies, Not
from engine.logic.sealed import Unreadable
from engine.logic.sealed.reader import SealedLine, SealedReader, split_completion
from engine.logic.sealed.steps import Steps
from engine.records import Attempt, Fault, Problem, ProofSteps, Status, StepVerdict, Theory, Verdict

FAULTS = {
    fault.value: fault.meaning
    for fault in (
        ProofFault.UNREADABLE,
        ProofFault.UNKNOWN_SYMBOL,
        ProofFault.BAD_LINE_NUMBER,
        ProofFault.BAD_CITATION,
        ProofFault.WRONG_CLAIM,
        ProofFault.UNSETTLED,
    )
}
_CLOSES: dict[str, tuple[int | None, ...]] = {"cp": (0, 0), "raa": (0, 0, 0), "or_e": (None, 1, 1, 3, 3)}
"""For each citation of a rule, the index of the citation that is the assumption closed there."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A premise or a line: its claim, None where it is unreadable, and the assumptions under it by number."""

    claim: Formula | None
    under: frozenset[int]
    is_assumption: bool = False


class _Refuted(Exception):
    """Ends the check of one line."""

    def __init__(self, fault: AnyFault, reason: str) -> None:
        super().__init__(reason)
        self.fault, self.reason = fault, reason


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge one completion as `engine.verify.rules.verify` does, line by line through Z3.

    The verdict is UNDECIDED where Z3 gives up on a line and refutes none, and where the problem cannot be
    read. Raises ValueError for a problem that is not about a proof.
    """
    theory = problem.truth
    if not isinstance(theory, Theory):
        raise ValueError(f"a proof needs a problem with a theory, got {type(theory).__name__}")
    try:
        reader = SealedReader(theory.notation, theory.premises)
        asked = reader.read_asked(theory.question)
    except Unreadable as error:
        reason = f"the problem cannot be read: {error}"
        return _verdict(problem, attempt, Status.UNDECIDED, fault=ProofFault.UNREADABLE, reason=reason)
    try:
        lines, answer = split_completion(attempt.text)
    except Unreadable as error:
        return _verdict(problem, attempt, Status.FAIL, fault=Fault.UNPARSED, reason=str(error))
    proof, rows = _SealedProof(reader), attempt.text.split("\n")
    steps: list[StepVerdict] = []
    faults: list[tuple[AnyFault, int, str]] = []
    fault: AnyFault
    for index, line in enumerate(lines, start=1):
        fault, reason = proof.add(line)
        number = line.number if isinstance(line, SealedLine) else 0
        steps.append(
            StepVerdict(number=number, text=rows[index - 1], valid=fault is Fault.NONE, reason=reason)
        )
        if fault is not Fault.NONE:
            faults.append((fault, index, f"line {len(reader.premises) + index}: {reason}"))
    # A refuted line comes before a line on which Z3 gave up.
    faults.sort(key=lambda each: each[0] is Fault.VERIFIER_LIMIT)
    fault, fault_step, reason = faults[0] if faults else (Fault.NONE, 0, "")
    gold = theory.answer
    if fault is Fault.NONE and not proof.settles(asked, answer):
        fault, reason = ProofFault.UNSETTLED, f"what is proved does not make the answer {answer}"
    is_valid = fault is Fault.NONE and (answer != "Unknown" or gold == "Unknown")
    is_right = answer == gold if gold else is_valid
    if fault is Fault.NONE and not is_right:
        fault, reason = Fault.WRONG_ANSWER, f"the answer is {gold or 'not proved'}, got {answer}"
    gave_up = fault is Fault.VERIFIER_LIMIT and answer == (gold or answer)
    is_open = gave_up or (answer == "Unknown" and not gold and not steps)
    status = Status.PASS if is_valid and is_right else Status.UNDECIDED if is_open else Status.FAIL
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
    )


class _SealedProof:
    """Checks the lines of one proof in order, each against the lines that it cites as written."""

    def __init__(self, reader: SealedReader) -> None:
        self._reader = reader
        self._steps = Steps()
        self._held = [_Held(premise, frozenset()) for premise in reader.premises]
        self._num_premises = len(self._held)
        self._closed: set[int] = set()

    def add(self, line: SealedLine | str) -> tuple[AnyFault, str]:
        """Check the next line; the reason is empty where it follows."""
        if isinstance(line, str):
            return Fault.UNPARSED, line
        claim, under = None, frozenset[int]()
        fault: AnyFault = Fault.NONE
        reason = ""
        try:
            claim = self._reader.read_claim(line.claim)
            under = self._rests_on(line)
            self._follow(line, claim, under)
        except Unreadable as error:
            fault, reason = ProofFault.UNKNOWN_SYMBOL, str(error)
        except _Refuted as error:
            fault, reason = error.fault, error.reason
        self._held.append(_Held(claim, under, is_assumption=line.rule == "assume"))
        if fault is Fault.NONE:
            self._closed.update(*(self._closed_at(line, place) for place in range(len(line.citations))))
        return fault, reason

    def _rests_on(self, line: SealedLine) -> frozenset[int]:
        """The assumptions under a line. Raises _Refuted for a wrong number or citation."""
        number = len(self._held) + 1
        if line.number != number:  # or no number at all
            raise _Refuted(ProofFault.BAD_LINE_NUMBER, f"numbered {line.number} where {number} comes next")
        if line.rule == "assume":
            if line.citations:
                raise _Refuted(ProofFault.BAD_CITATION, "an assumption cites nothing")
            return frozenset((number,))
        for cited in line.citations:
            if cited >= number or self._held[cited - 1].claim is None:
                raise _Refuted(ProofFault.BAD_CITATION, f"line {cited} is not there to be cited")
            if self._held[cited - 1].under & self._closed:
                raise _Refuted(ProofFault.BAD_CITATION, f"line {cited} is in a sub-proof that was closed")
        kept = [
            self._held[cited - 1].under - self._closed_at(line, place)
            for place, cited in enumerate(line.citations)
        ]
        return frozenset().union(*kept)

    def _closed_at(self, line: SealedLine, place: int) -> frozenset[int]:
        """The assumption that a citation no longer rests on after this line."""
        closes = _CLOSES.get(line.rule, ())
        at = closes[place] if place < len(closes) else None
        if at is None or at >= len(line.citations) or not self._held[line.citations[at] - 1].is_assumption:
            return frozenset()
        return frozenset((line.citations[at],))

    @cached_property
    def _entailment(self) -> Entailment:
        """Only for lines that are not one step: most proofs have none."""
        return Entailment()

    def _follow(self, line: SealedLine, claim: Formula, under: frozenset[int]) -> None:
        """Raises _Refuted where the claim need not be true though all that is cited is."""
        if line.rule == "assume":
            return
        if self._steps.follows([self._as_given(number, under) for number in line.citations], claim):
            return
        # Assumptions come first: the next line shares most of them, and Z3 starts where the two lines part.
        numbers = [*sorted(under), *sorted(set(line.citations) - under)]
        given = [self._as_given(number, under) for number in numbers]
        found = self._entailment.follows(given, claim)
        if found is None:
            raise _Refuted(Fault.VERIFIER_LIMIT, "Z3 gave up")
        if not found:
            raise _Refuted(ProofFault.WRONG_CLAIM, "it does not follow from what it cites")

    def _as_given(self, number: int, under: frozenset[int]) -> Formula:
        """A line as a statement of its own: if its assumptions hold, then its claim.

        Assumptions in `under` are given anyway and are left out, which changes nothing: a long proof has many
        of them and few others.
        """
        statement = self._claim(number)
        for assumption in sorted(self._held[number - 1].under - under):
            statement = Implies(self._claim(assumption), statement)
        return statement

    def _claim(self, number: int) -> Formula:
        """The claim of a line that could be read: no other is ever cited or an assumption."""
        claim = self._held[number - 1].claim
        assert claim is not None
        return claim

    def settles(self, asked: Formula, answer: str) -> bool:
        """Whether the last line is the question or its opposite, as answered, and rests on no assumption.

        Without lines one of the premises may be that.
        """
        lines = self._held[self._num_premises :]
        if answer == "Unknown":
            return not lines
        opposite = asked.body if isinstance(asked, Not) else Not(asked)
        claims = asked if answer == "True" else opposite
        if not lines:
            return claims in self._reader.premises
        return lines[-1].claim == claims and not lines[-1].under


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
    )
