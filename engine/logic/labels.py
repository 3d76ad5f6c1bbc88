"""The truth of a question that nobody has made so that its premises decide it: what Z3 finds, if anything."""

from collections.abc import Sequence

from engine.logic.entailment import Entailment
from engine.logic.formulas import Formula, negate


class Unlabelled(ValueError):
    """A question has no label; the message is one word that says why."""


def label(premises: Sequence[Formula], question: Formula) -> bool:
    """Whether the premises prove the question or refute it.

    Raises Unlabelled: ``contradictory`` where they do both, as premises that contradict each other prove
    everything; ``open`` where they do neither; ``undecided`` where the solver gives up.
    """
    entailment = Entailment()
    proved, refuted = (entailment.follows(premises, claim) for claim in (question, negate(question)))
    if proved is None or refuted is None:
        raise Unlabelled("undecided")
    if proved == refuted:
        raise Unlabelled("contradictory" if proved else "open")
    return proved
