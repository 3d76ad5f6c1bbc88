"""What trials of one campaign share: their settings, and the open samplers and workers of one process."""

import atexit
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from configs.experiment import Experiment
from configs.schema import Config
from configs.sweep import Campaign, Sweep
from configs.training import Train
from engine.disk.steps import Run, RunHeld
from engine.measure.bench import Benches, open_benches
from engine.models.base import resolve_base
from engine.models.identity import Model, model_id
from engine.models.reference import References
from engine.plan.plan import Plan
from engine.records import Problem, Start, TrainFault, TrainingSet
from engine.registry.registry import Registry
from engine.tasks import suite_of
from engine.tasks.suite import Suite, of_day
from engine.train.crew import Crew
from loops.context import Context
from loops.spent import suite_in_sweep

_WAIT = 2.0
"""Seconds between two looks at whether another trial has made the material that this one needs too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialsRun:
    """Trials of one campaign under way, as each of them sees it."""

    home: Path
    run_id: str
    settings: Sweep | Experiment
    campaign: Campaign
    plan: Plan
    """The plan of one trial."""
    start: Start
    no_result: ClassVar[tuple[TrainFault, ...]] = (TrainFault.WORKER_LOST,)
    """Faults of a training that say nothing about what it was trained with: it is to be tried again."""

    @property
    def round(self) -> int:
        """The round that a trial plays: 0 is the warm start."""
        return 1 if self.campaign.section == "loop" else 0

    def on_its_day(self, suite: Suite) -> Suite:
        """A suite as it stands on the day of the round that a trial plays."""
        return of_day(suite, self.start.lived.days + self.round)

    @property
    def path(self) -> Path:
        """Directory of the run that the trials belong to."""
        return self.home / "runs" / self.run_id

    def trial(self, number: int) -> str:
        """Run id of a trial."""
        return f"{self.run_id}/trials/{number:03d}"

    def selection(self, suite: Suite) -> list[Problem]:
        """The problems on which every trial is measured, and which none learns."""
        raise NotImplementedError

    def within_budget(self, config: Train, data: TrainingSet) -> TrainingSet:
        """The part of a proposal's rows that a trial learns."""
        return data

    def parent(self) -> Model:
        """The model that trials train."""
        base = resolve_base(self.campaign.config.base, self.home)
        if self.start.champion == model_id(base):
            return Model(id=self.start.champion, path=base)
        return Model(id=self.start.champion, path=Registry(self.home).path(self.start.champion))


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRun(TrialsRun):
    """A sweep under way."""

    settings: Sweep

    def selection(self, suite: Suite) -> list[Problem]:
        """Draw the problems of the selection split."""
        config = self.campaign.config
        return self.on_its_day(suite).draw(self.settings.num_problems, split="selection", seed=config.seed)


SHARED = "shared"
"""The directory of a run in which its trials keep what several of them would ask of the same model."""
CREWS = "crews"
"""The directory of a run in which each of Tune's processes has one for its train worker."""


class Workshop:
    """The benches and the crew of one of Tune's processes, which plays one trial after another.

    Samplers and train workers take most of a minute to start, so they are opened when a trial first needs
    them and stay open until the process ends, or until `close`.
    """

    def __init__(self, trials: TrialsRun) -> None:
        self.trials = trials
        self._open: Benches | None = None
        self._crew: Crew | None = None
        self._stack: ExitStack | None = None

    def close(self) -> None:
        """Let samplers and train worker go; a later trial opens them anew."""
        if self._stack:
            atexit.unregister(self._stack.close)
            self._stack.close()
        self._open = self._crew = self._stack = None

    @property
    def _until_closed(self) -> ExitStack:
        if self._stack is None:
            self._stack = ExitStack()
            atexit.register(self._stack.close)
        return self._stack

    @property
    def benches(self) -> Benches:
        """The open benches."""
        if self._open is None:
            config = self.trials.campaign.config
            opening = open_benches(
                config.sampler,
                config.verify,
                config.system,
                self.trials.plan,
                suite_of(config),
                self.trials.parent().path,
                References(self.trials.home),
            )
            self._open = self._until_closed.enter_context(opening)
        return self._open

    @property
    def crew(self) -> Crew:
        """Keeps a train worker from one trial to the next."""
        if self._crew is None:
            place = self.trials.path / CREWS / f"{os.getpid()}"
            self._crew = self._until_closed.enter_context(Crew(place))
        return self._crew

    def context(self, config: Config, run: Run) -> Context:
        """The context in which a loop, or the warm start, makes a trial's material."""
        trials = self.trials
        return Context(
            run=run,
            start=trials.parent(),
            begun=trials.start,
            config=config,
            plan=trials.plan,
            suite=suite_in_sweep(config, trials.home, trials.run_id),
            bench=self.benches.labels,
            judges=self.benches.gate,
            registry=Registry(trials.home),
            base=resolve_base(config.base, trials.home),
            crew=self.crew,
            shared=trials.path / SHARED,
        )


def open_run(trials: TrialsRun, config: Config, name: str) -> Run:
    """Open a run that belongs to others by its id, or begin it, once no other process holds it."""
    while True:
        try:
            return Run.create(trials.home, config, name)
        except RunHeld:
            time.sleep(_WAIT)
