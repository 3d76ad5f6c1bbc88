"""What could be learnt, before it is sifted."""

from dataclasses import dataclass

from engine.records import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A problem with replies that could be learnt."""

    problem: Problem
    replies: tuple[str, ...]
    """A reply to each turn; empty for a passage, which is learnt itself."""
    score: float = 0.0
    """Quality; higher is better."""
    loss: float = 0.0
    """Nats a token of the replies under the parent; 0 where it was not measured."""
    pass_rate: float | None = None
    """Share of the parent's samples that passed; None where it was not measured."""
