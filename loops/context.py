"""What every loop is given: the run, its settings, and the parts that answer, verify and keep models."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from configs.schema import Config
from engine.curate.unleaked import fresh_texts, unleaked
from engine.disk.files import locked
from engine.disk.shared import made_once
from engine.disk.steps import Run
from engine.measure.bench import Bench
from engine.models.identity import Model
from engine.plan.plan import Plan
from engine.records import Duel, Start
from engine.registry.registry import Registry
from engine.tasks.suite import Suite, of_day
from engine.train.crew import Crew

if TYPE_CHECKING:
    from engine.gate.preference import Judge  # with numpy, for which `ratchet plan` should not wait

T = TypeVar("T")
WRITTEN = "written"
"""The stage of a round that keeps the problems which the model wrote itself."""
LIVED = "lived"
"""The stage of a round that has kept with the line what it was told."""
CLOSING = "closing"
"""The stage of a round that holds both models' answers to fresh problems of weak slices."""
_DUELS = re.compile(rf"(carry-)?(look(-\d+)?|pass-at-k)|{CLOSING}")
"""Names of a round's stages in which two models are compared; a loop's own stages have others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The parts of a campaign that is under way."""

    run: Run
    config: Config
    plan: Plan
    suite: Suite
    bench: Bench
    """For what a loop learns from."""
    judges: Bench
    """For what a decision or a figure rests on: all verifiers of the task must say PASS."""
    registry: Registry
    base: Path
    """Directory of the untrained base."""
    start: Model
    """Where the campaign starts: the base, or the line's champion when it began."""
    begun: Start
    """Where the line stood when the campaign began, with what was carried there."""
    judge: "Judge | None" = None
    """Who compares replies, where the config names a judge."""
    crew: Crew | None = None
    """Keeps a train worker from one training to the next; without it each training starts its own."""
    measured: tuple[str, ...] = ()
    """Texts of the problems on which trials are measured, before anything is learnt; none of a campaign."""
    shared: Path | None = None
    """Where trials of one champion keep what others of them would do again; None of a campaign."""

    def stored(self, model: str) -> Model:
        """A model by id: see `model_of`."""
        return model_of(model, self.base, self.registry)

    def needed(self, model: str, round: int) -> Model:
        """A model that `round` starts from; its weights may be gone where the round is recorded."""
        if self.run.is_done(self.stage(round, "round")):
            return Model(id=model, path=self.registry.place(model))
        return self.stored(model)

    def day(self, round: int) -> int:
        """The day of a round, where a task has days: those that the line had lived before come first."""
        return self.begun.lived.days + round

    def suite_on(self, round: int) -> Suite:
        """The suite as it stands on a round's day; the same in every round where a task has no days."""
        return of_day(self.suite, self.day(round))

    def written(self, round: int) -> list[str]:
        """The problems that models wrote themselves on the way to a round's challenger.

        That is in all rounds so far, because a challenger descends from the ones before, and in earlier
        campaigns where it descends from what they carried.
        """
        stages = [self.stage(each, WRITTEN) for each in range(1, round + 1)]
        return [*self.begun.written, *(text for stage in stages for text in self.run.read_many(stage, str))]

    def judging(self, round: int) -> Suite:
        """The suite for what judges in a round: without problems that leak from what models wrote."""
        return unleaked(self.suite_on(round), self.written(round), self.fresh)

    def asked(self, round: int, stages: str = "") -> frozenset[str]:
        """Ids of the problems on which a round compared two models, in stages that begin with `stages`."""
        begin = self.stage(round, stages)
        names = [f"{begin}{name}" for name in self.run.seconds(begin)]
        compared = [name for name in names if _DUELS.fullmatch(name.rpartition("/")[2])]
        return frozenset(duel.problem.id for name in compared for duel in self.run.read_many(name, Duel))

    def fresh(self) -> dict[str, list[str]]:
        """The texts by slice that calibrate leak guards: see `fresh_texts`. A run draws them once."""
        return dict(
            self.once(
                "fresh",
                tuple[str, list[str]],
                "",
                lambda: list(fresh_texts(self.suite).items()),
                doing="Fresh problems are drawn, which show the leak guard what is alike by chance",
            )
        )

    def once(
        self,
        stage: str,
        cls: type[T],
        key: str,
        make: Callable[[], Sequence[T]],
        *,
        doing: str = "",
        came: Callable[[Sequence[T]], str] | None = None,
    ) -> list[T]:
        """The records of a stage, as by `Run.step_many`; of trials the first makes them for all others.

        Trials share what has the same `key`, so it must tell apart whatever may differ between two of them
        and decides about the records.
        """

        if self.shared is None or self.run.is_done(stage):
            return self.run.step_many(stage, cls, make, doing=doing, came=came)
        folder = self.shared / hashlib.sha256(f"{stage} {key}".encode()).hexdigest()[:16]
        # While another trial makes them this one waits before its stage, whose time is then its own.
        with locked(folder / "turn"):
            return self.run.step_many(
                stage, cls, lambda: made_once(folder, cls, make), doing=doing, came=came
            )

    def stage(self, round: int, name: str) -> str:
        """A stage's full name, which is also its file under the run."""
        return f"rounds/{round:03d}/{name}"


def model_of(model: str, base: Path, registry: Registry) -> Model:
    """A model by id: the base, or one of the registry. Raises RegistryError where weights are gone."""
    untrained = Model.of(base)
    return untrained if model == untrained.id else Model(id=model, path=registry.path(model))
