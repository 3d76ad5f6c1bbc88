"""The terms of a trial: everything that is fixed before its first problem is drawn."""

from dataclasses import dataclass

from configs.schema import Gate
from engine.disk.steps import Run
from engine.embeddings import Embed
from engine.gate.preference import Judge
from engine.measure.bench import Bench
from engine.models.identity import Model
from engine.records import Who
from engine.tasks.suite import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One challenger, the models that it is compared with, and what they are asked and judged by.

    Where a round only carries on what looks better, its challenger is compared with the working model, which
    then stands in the place of the champion.
    """

    run: Run
    prefix: str
    """How the names of the trial's stages begin, such as ``rounds/001/``."""
    bench: Bench
    suite: Suite
    settings: Gate
    max_new_tokens: int
    champion: Model
    challenger: Model
    who: tuple[Who, Who] = ("champion", "challenger")
    """What the two are in the round, for its record."""
    reference: tuple[float, ...]
    """The trainer's scores of `liveness.TEXTS` by the challenger."""
    frozen: Model
    """The line's round-0 champion."""
    base: Model
    seen: frozenset[str]
    """Problems that were mined or trained on; none of them is drawn."""
    embed: Embed | None = None
    """Sentence embeddings, where the run's loop has them: what is watched then shows how far replies
    lie apart. Elsewhere no process loads a model for a figure that decides nothing."""
    judge: Judge | None = None
    """Who compares replies, where the config names a judge."""

    @property
    def sides(self) -> str:
        """The two models for people, such as "champion and challenger"."""
        return " and ".join(map(_in_words, self.who))

    def role(self, model: Model) -> str:
        """What a model is in the trial, for people."""
        roles = {self.base.id: "the base", self.frozen.id: "the first champion"}
        sides = (self.champion, self.challenger)
        roles |= {side.id: f"the {_in_words(who)}" for side, who in zip(sides, self.who, strict=True)}
        return roles.get(model.id, f"model {model.id}")


def _in_words(who: Who) -> str:
    return "working model" if who == "working" else who
