"""Both checkers on a problem whose right answer nobody knows: a reply must be its own evidence.

True and False pass where the rules and Z3 accept the proof of them. Unknown passes where the rules accept the
lines before it, if there are any, and the sealed checker finds two worlds of the premises, one in which the
question holds and one in which it does not. What a problem says of its answer is not looked at.

From premises that contradict each other anything follows, so nothing passes there, nor where the sealed
checker cannot say that they hold together. That comes before anything that is wrong with a reply, so an empty
reply shows whether a problem can be asked at all.

ProofWriter's rules lead only forwards, and logic also uses them backwards. Where that makes a difference,
nothing passes: no answer is then right for one reader and wrong for another.
"""

from dataclasses import replace
from functools import lru_cache

from engine.logic import FORMALIZED
from engine.logic.faults import CONTRADICTORY, AnyFault, ProofFault
from engine.logic.formulas import Not
from engine.logic.proof_check import theory_of
from engine.logic.proofs import read_completion
from engine.logic.sealed import Unreadable
from engine.logic.sealed.proof import opposite
from engine.logic.sealed.reader import SealedReader
from engine.logic.sealed.unknown import can_hold, is_left_open
from engine.records import Attempt, Fault, Problem, Status, Theory, Verdict
from engine.verify import AND, both, in_turn, rules, sealed

NAME = f"rules{AND}z3"
FAULTS = rules.FAULTS | {CONTRADICTORY: "The premises contradict each other: no proof was judged."}


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge one completion, with no answer to compare it with. Raises ValueError as `rules.verify` does."""
    theory = replace(theory_of(problem), answer="")
    fault, reason = _unfit(theory.notation, theory.premises)
    if fault is not Fault.NONE:
        return Verdict(
            problem_id=problem.id,
            sample=attempt.sample,
            status=Status.FAIL if fault == CONTRADICTORY else Status.UNDECIDED,
            right=False,
            answer="",
            fault=fault,
            verifier=NAME,
            reason=reason,
        )
    asked = replace(problem, truth=theory)
    if read_completion(attempt.text).answer != "Unknown":
        judged = in_turn(rules.verify, [sealed.verify], asked, attempt)
    else:
        # Here the rules judge the lines alone: that the question is open is for worlds to show.
        judged = rules.verify(replace(asked, truth=replace(theory, answer="Unknown")), attempt)
        if judged.status is Status.PASS:
            worlds = sealed.verify(asked, attempt)
            is_open_or_not = worlds.status is Status.PASS or worlds.fault is ProofFault.UNSETTLED
            judged = worlds if is_open_or_not else both(judged, worlds)
    if judged.status is Status.PASS and theory.notation != FORMALIZED:
        fault, reason, shown = _two_readings(theory, judged.answer)
        judged = replace(judged, worlds=shown or judged.worlds)
        if fault is not Fault.NONE:
            status = Status.FAIL if fault is ProofFault.UNSETTLED else Status.UNDECIDED
            judged = replace(judged, status=status, fault=fault, reason=reason)
    return replace(judged, verifier=NAME, right=judged.status is Status.PASS)


@lru_cache(maxsize=8)
def _unfit(notation: str, premises: tuple[str, ...]) -> tuple[AnyFault | str, str]:
    """Why a problem with these premises is not judged; the fault is NONE where it is. Raises MemoryError."""
    try:
        reader = SealedReader("first_order" if notation == FORMALIZED else notation, premises)
    except Unreadable as error:
        return ProofFault.UNREADABLE, f"the problem cannot be read: {error}"
    found = can_hold(reader.premises)
    if found is None:
        reason = "whether the premises can hold together is not found within the limits"
        return Fault.VERIFIER_LIMIT, reason
    if not found:
        return CONTRADICTORY, "the premises contradict each other, so that anything follows from them"
    return Fault.NONE, ""


def _two_readings(theory: Theory, answer: str) -> tuple[AnyFault, str, tuple[str, ...]]:
    """Why an answer that passed depends on whether rules are used backwards; NONE where it does not.

    Of an answer Unknown that does not, the worlds in which rules are used both ways, where there is a
    difference between the readings.
    """
    reader = SealedReader(theory.notation, theory.premises)
    asked = reader.read_question(theory.question)
    claim = opposite(asked) if answer == "False" else asked
    *forwards, shown = reader.one_way([*reader.premises, claim])
    if [*forwards, shown] == [*reader.premises, claim]:
        return Fault.NONE, "", ()
    worlds: tuple[str, ...] = ()
    if answer == "Unknown":
        found, worlds = is_left_open(reader.premises, asked, opposite(asked))
    else:
        fails = can_hold([*forwards, Not(shown)])
        found = None if fails is None else not fails
    if found is None:
        return Fault.VERIFIER_LIMIT, "Z3 gave up on whether rules have to be used backwards", ()
    if not found:
        return ProofFault.UNSETTLED, "rules would have to be used backwards", ()
    return Fault.NONE, "", worlds
