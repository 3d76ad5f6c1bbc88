"""Parts of a loop's settings: filters, self-critique, and the predictor of steps."""

from typing import Annotated

from pydantic import Field

from configs.base import Count, Leaf


class Filter(Leaf):
    """What of the candidates is kept before some of them are chosen. Duplicates, exact and near, are always
    dropped, and so is what the leak guard stops."""

    keep_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the candidates that is kept, the best first: by the verifier's grade where it gives one, else
    the likeliest to the model itself. The error-driven experiment keeps 0.5; 1 keeps all."""
    min_distance: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Smallest cosine distance between the sentence embeddings of any two candidates; 0 asks for none."""
    semantic: bool = False
    """Whether the leak guard compares meanings too, by sentence embeddings."""


class Critique(Leaf):
    """Self-critique: the model revises answers that failed, and is told what the verifier found wrong.

    Revisions that pass are learnt as replies to the problem as it was asked, without the critique.
    """

    num_failures: Count = 60
    """Most failed answers that are revised in a round, one to a problem that no sample solved."""
    control: bool = True
    """Ask for the same revisions without the reason too, which shows what the reason is worth. Nothing of the
    control is learnt."""


class Allocate(Leaf):
    """Who gets further samples: the problems from which most new rows are to be expected.

    A round asks as often as without: what some problems get more, the others get less.
    """

    first: Annotated[int, Field(ge=2)] = 2
    """Samples of every problem, from which it is foreseen whether another one passes."""
    more: Count = 4
    """Further samples of each problem that gets any."""

    def require_left(self, samples: int) -> None:
        """Refuse numbers that do not fit to so many samples a problem on average. Raises ValueError."""
        if self.first >= samples:
            raise ValueError(
                f"predictor.allocate.first must be less than samples = {samples}, or nothing is left to "
                f"allocate, got {self.first}"
            )
        if self.more <= samples - self.first:
            raise ValueError(
                f"predictor.allocate.more must be more than samples - first = {samples - self.first}, or "
                f"every problem gets the same, got {self.more}"
            )


class Predictor(Leaf):
    """q̂: how likely it is that a line which the model proposes is valid, before it is checked.

    A small head on the model's own hidden state and the rule that the line names, trained in each round on
    lines that the verifier has judged.
    """

    steps: Annotated[int, Field(ge=100, le=1_000_000)] = 4000
    """Most lines whose hidden states are read in a round, of whole problems that are chosen at random."""
    depth: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The layer whose state is read, as a share of all layers; 1 is the last."""
    allocate: Allocate | None = None
    """What it is used for, in rounds where it is shown to foresee lines better than both baselines do, and
    further replies better than verdicts do. None: it is measured, and nothing rests on it."""
