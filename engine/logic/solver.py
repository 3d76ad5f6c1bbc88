"""Questions about formulas, answered within limits: what follows, what can hold together, what is the same.

Z3 answers, and worlds of a few things (`engine.logic.models`) where it does not at once. Every function
gives None where neither does within the limits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.logic.entailment import Entailment
from engine.logic.formulas import And, Exists, ForAll, Formula, Iff, Implies, Not, Or, Xor, negate, parts
from engine.logic.labels import Unlabelled
from engine.logic.models import find_model

QUICK_WORK = 50_000
"""What Z3 may take, by its own count, before a small world is sought: it may look long for one in vain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a question may be, and how long it may take."""

    work: int = 3_000_000
    """Steps by Z3's own count, which do not depend on the machine."""
    seconds: float = 5.0
    """Wall-clock time of Z3, for what its count does not see."""
    nodes: int = 20_000
    """Connectives, quantifiers and atoms of all formulas together."""
    depth: int = 100
    """Of the deepest formula."""
    max_things: int = 3
    """Of the worlds that are sought where Z3 gives up."""


LIMITS = Limits()


def entails(premises: Sequence[Formula], claim: Formula, limits: Limits = LIMITS) -> bool | None:
    """Whether a claim holds wherever the premises do."""
    consistent_then = consistent([*premises, negate(claim)], limits)
    return None if consistent_then is None else not consistent_then


def consistent(formulas: Sequence[Formula], limits: Limits = LIMITS) -> bool | None:
    """Whether formulas can hold together."""
    if _is_too_large(formulas, limits):
        return None
    try:
        entailment = Entailment(work=limits.work, seconds=limits.seconds)
        found = entailment.consistent(formulas, QUICK_WORK)
        if found is None and find_model(formulas, max_things=limits.max_things) is not None:
            return True
        if found is None:
            found = entailment.consistent(formulas)
    except MemoryError:
        return None
    return found


def equivalent(left: Formula, right: Formula, limits: Limits = LIMITS) -> bool | None:
    """Whether two formulas hold in the same worlds. The names of bound variables do not matter."""
    return entails((), Iff(left, right), limits)


def answer(premises: Sequence[Formula], question: Formula, limits: Limits = LIMITS) -> str:
    """``True``, ``False`` or ``Unknown``, as the premises prove a question, refute it, or leave it open.

    Raises Unlabelled: ``contradictory`` where they do both, as premises that contradict each other prove
    everything; ``undecided`` where the solver gives up.
    """
    proved, refuted = (entails(premises, claim, limits) for claim in (question, Not(question)))
    if proved and refuted:
        raise Unlabelled("contradictory")
    if proved is None or refuted is None:
        raise Unlabelled("undecided")
    return "True" if proved else "False" if refuted else "Unknown"


def _is_too_large(formulas: Sequence[Formula], limits: Limits) -> bool:
    nodes = 0
    for formula in formulas:
        nodes += sum(1 for _ in parts(formula))
        if nodes > limits.nodes or _depth(formula) > limits.depth:
            return True
    return False


def _depth(formula: Formula) -> int:
    """Without recursion, which a formula from elsewhere could exhaust."""
    depth, level = 0, [formula]
    while level:
        depth, outer, level = depth + 1, level, []
        for each in outer:
            match each:
                case Not(body) | ForAll(_, body) | Exists(_, body):
                    level.append(body)
                case And() | Or() | Xor() | Implies() | Iff():
                    level += [each.left, each.right]
    return depth
