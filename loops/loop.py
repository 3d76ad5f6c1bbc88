"""What a loop is: a module that proposes what a model is trained on to become a challenger.

A loop of your own is a file with the names of `Loop` and with ``Settings``, a `configs.base.Leaf` that reads
the config's ``loop.settings``; ``loop: {name: path/to/file.py}`` runs it. ``EXAMS`` names the exams of tasks
that the loop can learn from, by default ``("verdicts",)``. ``require(settings, task)``, where there is one,
raises ConfigError for settings that a task cannot serve, before anything runs. ``sealed(context, settings,
problems, first, last)``, where there is one, returns panels about the sealed problems, from the answers of
the first and the last champion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from engine.measure.clusters import Clusters
from engine.models.identity import Model
from engine.preflight.workload import Lengths, Work
from engine.records import Evaluation, Likelihood, Lived, Panel, Problem, TrainingRow, TrainingSet, Weakness
from engine.tasks.suite import Suite
from loops.context import Context

S_contra = TypeVar("S_contra", contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Passages that the parent read before training, which its challenger reads again."""

    passages: tuple[Problem, ...]
    given: tuple[Likelihood, ...]
    """The parent's likelihood of each passage."""
    limit: float
    """Perplexity above which a passage is unlikely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a loop proposes to train a round's parent on, and why."""

    data: TrainingSet | None
    """None where there is nothing to learn: the round ends without a test, and costs no error budget."""
    seen: frozenset[str]
    """Ids of all problems that the proposal has used: the gate draws none of them."""
    train: str = "loop.train"
    """Dotted key of the training, one of the loop leaf's `trains`."""
    probe: Evaluation | None = None
    """The parent on this round's fresh problems, where the loop measured it."""
    weaknesses: tuple[Weakness, ...] = ()
    clusters: Clusters | None = None
    """The slices of `weaknesses` where the loop found them, as a stage keeps them; None where the task names
    them."""
    panels: tuple[Panel, ...] = ()
    """Further panels for the report."""
    written: tuple[str, ...] = ()
    """The problems that the model wrote itself: none that leaks from one of them is judged on."""
    read: Read | None = None
    """What the parent read to show where it is weak, where the task has passages."""
    lived: Lived | None = None
    """What the line has been told by now, where it is told anything: it is kept with the line."""


class Loop(Protocol[S_contra]):
    """A module of `loops/`, or a user's file."""

    def propose(
        self, context: Context, settings: S_contra, parent: Model, number: int, seen: frozenset[str]
    ) -> Proposal:
        """Propose what to train `parent` on in round `number`. `seen` are the problems of earlier rounds.

        The parent is the champion, or the working model that is carried beside it.

        Each expensive step is a stage of the run (`context.run.step`), so that an interrupted round goes on.
        Raises engine.measure.evaluate.Unjudged where answers cannot be judged: the round then stops.
        """

    def work(self, settings: S_contra, lengths: Lengths) -> Sequence[Work]:
        """The loop's own stages of a round, for `ratchet plan`."""

    def example(self, settings: S_contra, suite: Suite, system: str) -> TrainingRow:
        """A row like those that the loop trains on, for `ratchet doctor`."""
