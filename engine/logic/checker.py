"""One proof, line by line: each must apply a rule to exactly the lines it cites, and claim something new.

The assumptions that a line rests on follow from its citations (Lemmon, Beginning Logic, 1965).
"""

from dataclasses import dataclass
from functools import cached_property

from engine.logic.faults import AnyFault, ProofFault
from engine.logic.formulas import Formula, constants_of
from engine.logic.notation import Notation, NotationError
from engine.logic.proofs import Line
from engine.logic.rules import ASSUME, RULES, apply
from engine.logic.rules.base import Misapplied, Rule
from engine.records import Fault

_NOWHERE: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedLine:
    """A premise or a proof line as the checker knows it."""

    number: int
    """By position: premises from 1, then the proof."""
    formula: Formula | None
    """None where the claim cannot be read."""
    open: frozenset[int]
    """Numbers of the assumptions that it rests on."""
    rule: str
    """Empty for a premise."""
    citations: tuple[int, ...] = ()
    fault: AnyFault = Fault.NONE
    reason: str = ""


class _Refused(Exception):
    """Ends the check of one line; the proof goes on."""

    def __init__(self, fault: AnyFault, reason: str, opened: frozenset[int] = _NOWHERE) -> None:
        self.fault, self.reason, self.opened = fault, reason, opened


class ProofChecker:
    """Checks the lines of one proof in order, each on its own, against the claims it cites as written."""

    def __init__(self, notation: Notation) -> None:
        self._notation = notation
        self.known: list[CheckedLine] = []
        self.closed: set[int] = set()
        """Assumptions that a valid line has discharged."""
        self._claimed: dict[Formula, list[frozenset[int]]] = {}
        for number, premise in enumerate(notation.premises, start=1):
            self._remember(CheckedLine(number=number, formula=premise, open=_NOWHERE, rule=""))

    def add(self, line: Line) -> CheckedLine:
        """Check the next proof line. Text that is not a line takes no number."""
        number = len(self.known) + 1
        formula, opened = None, _NOWHERE
        fault: AnyFault = line.fault
        reason = line.reason
        if fault is not Fault.UNPARSED:
            try:
                formula = self._read(line.claim)
                if fault is Fault.NONE:
                    opened = self._judge(number, line, formula)
            except _Refused as refused:
                fault, reason, opened = refused.fault, refused.reason, refused.opened
        checked = CheckedLine(
            number=number,
            formula=formula,
            open=opened,
            rule=line.rule,
            citations=line.citations,
            fault=fault,
            reason=reason,
        )
        if line.fault is not Fault.UNPARSED:
            self._remember(checked)
        if fault is Fault.NONE and line.rule in RULES:
            self.closed.update(line.citations[proof.assumption] for proof in RULES[line.rule].discharges)
        return checked

    def _remember(self, line: CheckedLine) -> None:
        self.known.append(line)
        if line.formula is not None:
            self._claimed.setdefault(line.formula, []).append(line.open)

    def _read(self, claim: str) -> Formula:
        if not (claim.isascii() and claim.isprintable()):
            raise _Refused(ProofFault.UNKNOWN_SYMBOL, "the claim has characters that are not printable ASCII")
        try:
            formula, shown = self._notation.read_claim(claim)
        except NotationError as error:
            raise _Refused(ProofFault.UNKNOWN_SYMBOL, str(error)) from None
        if "".join(shown.split()).lower() != "".join(claim.split()).lower():
            raise _Refused(ProofFault.UNKNOWN_SYMBOL, f"the claim is written '{shown}', got '{claim[:80]}'")
        return formula

    def _judge(self, number: int, line: Line, formula: Formula) -> frozenset[int]:
        """The assumptions that a valid line rests on. Raises _Refused for any other."""
        if line.rule == ASSUME:
            opened = frozenset((number,))
            if line.citations:
                raise _Refused(ProofFault.BAD_CITATION, f"'{ASSUME}' cites nothing", opened)
        elif line.rule in RULES:
            opened = self._open_after(line.rule, number, line.citations)
        else:
            allowed = ", ".join([ASSUME, *RULES])
            raise _Refused(
                ProofFault.WRONG_RULE, f"there is no rule '{line.rule[:20]}', the rules are {allowed}"
            )
        if line.number != number:
            raise _Refused(
                ProofFault.BAD_LINE_NUMBER, f"numbered {line.number} where {number} comes next", opened
            )
        repeats = line.rule == ASSUME and self._notation.assumes_known
        if not repeats and any(earlier <= opened for earlier in self._claimed.get(formula, ())):
            raise _Refused(ProofFault.NO_PROGRESS, "the claim was already there", opened)
        if line.rule != ASSUME:
            self._apply(RULES[line.rule], line.citations, formula, opened)
        return opened

    def _open_after(self, name: str, number: int, citations: tuple[int, ...]) -> frozenset[int]:
        """The assumptions a line rests on, from its citations (Lemmon). Raises _Refused for bad citations."""
        for cited in citations:
            if cited >= number:
                raise _Refused(ProofFault.BAD_CITATION, f"line {cited} is cited before it is there")
        lines = [self.known[cited - 1] for cited in citations]
        opened = _NOWHERE.union(*(line.open for line in lines))
        for line in lines:
            if line.formula is None:
                raise _Refused(ProofFault.BAD_CITATION, f"line {line.number} has no claim to use", opened)
            if line.open & self.closed:
                reason = f"line {line.number} is in a sub-proof that was closed"
                raise _Refused(ProofFault.BAD_CITATION, reason, opened)
        rule = RULES[name]
        self._check_count(rule, name, citations, opened)
        if not rule.discharges:
            return opened
        inside = {
            position for proof in rule.discharges for position in (proof.assumption, *proof.conclusions)
        }
        rests = _NOWHERE.union(*(line.open for i, line in enumerate(lines) if i not in inside))
        for proof in rule.discharges:
            assumption = lines[proof.assumption]
            if assumption.rule != ASSUME:
                raise _Refused(
                    ProofFault.WRONG_RULE, f"line {assumption.number} is not an assumption", opened
                )
            drawn = _NOWHERE.union(*(lines[position].open for position in proof.conclusions))
            if proof.must_rest and assumption.number not in drawn:
                reason = f"line {assumption.number} is superfluous: what is concluded does not rest on it"
                raise _Refused(ProofFault.BAD_CITATION, reason, opened)
            rests |= drawn - {assumption.number}
        return rests

    @staticmethod
    def _check_count(rule: Rule, name: str, citations: tuple[int, ...], opened: frozenset[int]) -> None:
        """A rule takes exactly as many citations as it has places, and no line twice but for two reasons.

        One line may fill several places in a sub-proof whose conclusion is its assumption, and in an mp with
        several conditions that one fact meets.
        """
        least = 2 if rule.num_cited is None else rule.num_cited
        if len(citations) < least:
            reason = f"a citation is missing: '{name}' cites {least} lines, got {len(citations)}"
            raise _Refused(ProofFault.BAD_CITATION, reason, opened)
        if rule.num_cited is not None and len(citations) > least:
            reason = f"a citation is superfluous: '{name}' cites {least} lines, got {len(citations)}"
            raise _Refused(ProofFault.BAD_CITATION, reason, opened)
        if rule.num_cited is None or len(set(citations)) == len(citations):
            return
        merged = list(citations)
        for proof in rule.discharges:
            for position in proof.conclusions:
                if citations[position] == citations[proof.assumption]:
                    merged[position] = -position
        if len(set(merged)) < len(merged):
            raise _Refused(ProofFault.BAD_CITATION, "a line is cited twice", opened)

    def _apply(self, rule: Rule, citations: tuple[int, ...], claim: Formula, opened: frozenset[int]) -> None:
        formulas = (self.known[number - 1].formula for number in citations)
        cited = tuple(formula for formula in formulas if formula is not None)
        try:
            fault, conclusions = apply(rule, cited, claim)
        except Misapplied as error:
            raise _Refused(error.fault, error.reason.format(*citations), opened) from None
        if fault is Fault.NONE:
            if constant := rule.arbitrary(cited, claim):
                self._require_arbitrary(constant, rule, citations, opened)
            return
        gives = " or ".join(f"'{text}'" for text in map(self._text_of, conclusions) if text)
        what = (
            "the negation is wrong"
            if fault is ProofFault.WRONG_POLARITY
            else "the rule does not give this claim"
        )
        raise _Refused(fault, f"{what}: the cited lines give {gives}" if gives else what, opened)

    def _require_arbitrary(
        self, constant: str, rule: Rule, citations: tuple[int, ...], opened: frozenset[int]
    ) -> None:
        """Raises _Refused where something is known of a constant: a premise names it, or an assumption under
        the line that must hold for any thing, but those that the rule discharges."""
        assert rule.arbitrary_in is not None
        if constant in self._named:
            reason = f"'{constant}' is not arbitrary: a premise names it"
            raise _Refused(ProofFault.NOT_ARBITRARY, reason, opened)
        discharged = {citations[proof.assumption] for proof in rule.discharges}
        for number in sorted(self.known[citations[rule.arbitrary_in] - 1].open - discharged):
            assumed = self.known[number - 1].formula
            if assumed is not None and constant in constants_of(assumed):
                reason = f"'{constant}' is not arbitrary: line {number} is an assumption about it"
                raise _Refused(ProofFault.NOT_ARBITRARY, reason, opened)

    @cached_property
    def _named(self) -> frozenset[str]:
        """The constants of the premises."""
        return frozenset[str]().union(*map(constants_of, self._notation.premises))

    def _text_of(self, formula: Formula) -> str:
        try:
            return self._notation.show(formula)
        except NotationError:  # a rule may conclude what the notation cannot write; the message goes without
            return ""
