"""What a loop is: from a champion to a proposal of what to train it on."""

from dataclasses import dataclass

from engine.records import Evaluation, TrainingSet, Weakness


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a loop proposes to train the champion on, and why."""

    data: TrainingSet
    probe: Evaluation
    weaknesses: tuple[Weakness, ...]
    seen: frozenset[str]
    """Ids of all problems that the proposal has used: the gate draws none of them."""
