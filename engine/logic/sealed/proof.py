"""The lines of one proof, each asked about by itself: whether it holds wherever what is under it does."""

from dataclasses import dataclass
from functools import cached_property

from engine.logic.entailment import Entailment
from engine.logic.faults import AnyFault, ProofFault
from engine.logic.formulas import ForAll, Formula, Implies, Not
from engine.logic.models import counter_model, describe
from engine.logic.sealed import Unreadable
from engine.logic.sealed.reader import SealedLine, SealedReader
from engine.logic.sealed.steps import Steps
from engine.records import Fault

QUICK_WORK = 50_000
"""What Z3 may take for a line, by its own count, before a small world is sought that refutes it."""
MAX_SEARCHES = 3
"""Lines of a proof for which that is done."""
_CLOSES: dict[str, tuple[int | None, ...]] = {
    "cp": (0, 0),
    "raa": (0, 0, 0),
    "or_e": (None, 1, 1, 3, 3),
    "cases": (0, 0, 2, 2),
    "ee": (None, 1, 1),
}
"""For each citation of a rule, the index of the citation that is the assumption closed there."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A premise or a line: its claim, None where it is unreadable, and the assumptions under it by number."""

    claim: Formula | None
    under: frozenset[int]
    is_assumption: bool = False
    unknown: frozenset[str] = frozenset()
    """The constants of the claim that no premise has."""


class _Refuted(Exception):
    """Ends the check of one line."""

    def __init__(self, fault: AnyFault, reason: str) -> None:
        super().__init__(reason)
        self.fault, self.reason = fault, reason


class SealedProof:
    """Checks the lines of one proof in order, each against the lines that it cites as written."""

    def __init__(self, reader: SealedReader) -> None:
        self._reader = reader
        self._steps = Steps()
        self._held = [_Held(premise, frozenset()) for premise in reader.premises]
        self._num_premises = len(self._held)
        self._closed: set[int] = set()
        self._num_searches = 0

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
        unknown = frozenset[str]() if claim is None else self._reader.unknown_in(claim)
        self._held.append(_Held(claim, under, line.rule == "assume", unknown))
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
        cited = [self._as_given(number, under) for number in line.citations]
        arbitrary = [self._arbitrary(number, under) for number in line.citations]
        if self._steps.follows(cited, claim, arbitrary):
            return
        # Assumptions come first: the next line shares most of them, and Z3 starts where the two lines part.
        numbers = [*sorted(under), *sorted(set(line.citations) - under)]
        given = [self._for_any(number, under) for number in numbers]
        found, shown = self._entailment.follows(given, claim, QUICK_WORK), ""
        if found is None and self._num_searches < MAX_SEARCHES:
            self._num_searches += 1
            if (world := counter_model(given, claim, max_things=2)) is not None:
                found, shown = False, f"; a world without it has {describe(world)}".replace("\n", ". ")
        if found is None:
            found = self._entailment.follows(given, claim)
        if found is None:
            raise _Refuted(Fault.VERIFIER_LIMIT, "Z3 gave up")
        if not found:
            raise _Refuted(ProofFault.WRONG_CLAIM, f"it does not follow from what it cites{shown}")

    def _as_given(self, number: int, under: frozenset[int]) -> Formula:
        """A line as a statement of its own: if its assumptions hold, then its claim.

        Assumptions in `under` are given anyway and are left out, which changes nothing: a long proof has many
        of them and few others.
        """
        statement = self._claim(number)
        for assumption in sorted(self._held[number - 1].under - under):
            statement = Implies(self._claim(assumption), statement)
        return statement

    def _arbitrary(self, number: int, under: frozenset[int]) -> frozenset[str]:
        """The constants of a line as given for which it holds whatever they name: neither a premise nor an
        assumption that stays under it says anything of them."""
        held = self._held[number - 1]
        names = held.unknown.union(*(self._held[each - 1].unknown for each in held.under - under))
        return names.difference(*(self._held[each - 1].unknown for each in held.under & under))

    def _for_any(self, number: int, under: frozenset[int]) -> Formula:
        """A line as a statement of its own, about all things where it may be about any."""
        statement = self._as_given(number, under)
        for name in sorted(self._arbitrary(number, under)):
            statement = ForAll(name, statement)
        return statement

    def _claim(self, number: int) -> Formula:
        """The claim of a line that could be read: no other is ever cited or an assumption."""
        claim = self._held[number - 1].claim
        assert claim is not None
        return claim

    def settles(self, asked: Formula, answer: str) -> bool:
        """Whether the last line is the question or its opposite, as answered, and rests on no assumption.

        Without lines one of the premises may be that. Before an answer Unknown lines may stand in some
        notations; they settle nothing.
        """
        lines = self._held[self._num_premises :]
        if answer == "Unknown":
            return not lines or (self._reader.unknown_takes_lines and not lines[-1].under)
        claims = asked if answer == "True" else opposite(asked)
        if not lines:
            return claims in self._reader.premises
        return lines[-1].claim == claims and not lines[-1].under


def opposite(formula: Formula) -> Formula:
    return formula.body if isinstance(formula, Not) else Not(formula)
