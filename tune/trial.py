"""One trial: a challenger trained with some values, and measured on the selection split after each rung.

A trial runs in a process of Ray Tune's. Everything it makes is in a run directory of its own, so an
interrupted trial goes on, and a finished one only reports its result again. Material that no searched value
affects is made once, in a run directory that the trials share.
"""

import atexit
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from configs.load import config_hash
from configs.schema import Config
from configs.sweep import Campaign, Sweep
from engine.curate.rehearse import num_rows
from engine.disk.steps import Run, RunHeld
from engine.gate.exams import exam_of
from engine.measure.bench import Benches, open_benches
from engine.models.base import resolve_base
from engine.models.identity import Model, model_id
from engine.plan.plan import Plan
from engine.records import Challenger, Evaluation, Problem, Start, TrainFailure, TrainFault, TrainingSet
from engine.registry.registry import Registry
from engine.sample.protocol import Sampling
from engine.tasks import suite_of
from engine.tasks.suite import Suite
from engine.train.crew import Crew
from engine.train.driver import Stretch, train
from loops import load_loop
from loops.context import Context
from loops.loop import Proposal
from loops.spent import suite_in_sweep
from loops.training import rehearsed
from loops.warm_start import gold_answers
from tune.outcome import describe_score, stage, training_result
from tune.space import METRIC, Values

_WAIT = 2.0
"""Seconds between two looks at whether another trial has made the material that this one needs too."""
_WORST = -1e12
"""Score of a failed training where the headline is not a share: no model finds a text that unlikely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRun:
    """A sweep under way, as all its trials see it."""

    home: Path
    run_id: str
    settings: Sweep
    campaign: Campaign
    plan: Plan
    """The plan of one trial."""
    start: Start

    @property
    def round(self) -> int:
        """The round that a trial plays: 0 is the warm start."""
        return 0 if self.campaign.config.start == "base" else 1

    def trial(self, number: int) -> str:
        """Run id of a trial."""
        return f"{self.run_id}/trials/{number:03d}"

    def selection(self, suite: Suite) -> list[Problem]:
        """Draw the problems on which every trial is measured."""
        config = self.campaign.config
        return suite.draw(self.settings.num_problems, split="selection", seed=config.seed)

    def parent(self) -> Model:
        """The model that trials train."""
        base = resolve_base(self.campaign.config.base, self.home)
        if self.start.champion == model_id(base):
            return Model(id=self.start.champion, path=base)
        return Model(id=self.start.champion, path=Registry(self.home).path(self.start.champion))


CREWS = "crews"
"""The directory of a sweep in which each of Tune's processes has one for its train worker."""


class Workshop:
    """The benches and the crew of one of Tune's processes, which plays one trial after another.

    Samplers and train workers take most of a minute to start, so they are opened when a trial first needs
    them and stay open until the process ends.
    """

    def __init__(self, sweep: SweepRun) -> None:
        self.sweep = sweep
        self._open: Benches | None = None
        self._crew: Crew | None = None

    @property
    def benches(self) -> Benches:
        """The open benches."""
        if self._open is None:
            config, until_exit = self.sweep.campaign.config, ExitStack()
            atexit.register(until_exit.close)
            opening = open_benches(
                config.sampler,
                config.verify,
                config.system,
                self.sweep.plan,
                suite_of(config),
                self.sweep.parent().path,
            )
            self._open = until_exit.enter_context(opening)
        return self._open

    @property
    def crew(self) -> Crew:
        """Keeps a train worker from one trial to the next."""
        if self._crew is None:
            self._crew = Crew(self.sweep.home / "runs" / self.sweep.run_id / CREWS / f"{os.getpid()}")
            atexit.register(self._crew.close)
        return self._crew

    def context(self, config: Config, run: Run) -> Context:
        """The context in which a loop, or the warm start, makes a trial's material."""
        return Context(
            run=run,
            start=self.sweep.parent(),
            begun=self.sweep.start,
            config=config,
            plan=self.sweep.plan,
            suite=suite_in_sweep(config, self.sweep.home, self.sweep.run_id),
            bench=self.benches.labels,
            judges=self.benches.gate,
            registry=Registry(self.sweep.home),
            base=resolve_base(config.base, self.sweep.home),
        )


class Material(NamedTuple):
    """The rows that a challenger is trained on, and the problems they have to do with."""

    data: TrainingSet | None
    """None if the loop found nothing to learn."""
    training: str
    """Dotted key of the training in a config."""
    proposal: Proposal | None
    seen: frozenset[str]


def play(setting: dict[str, Any], workshop: Workshop) -> None:
    """Play one trial and report its score to Tune after each rung. Tune calls this function."""
    from ray import tune

    sweep = workshop.sweep
    last = sweep.settings.rungs - 1
    for rung, evaluation in play_rungs(workshop, setting["number"], setting["values"]):
        tune.report(
            {
                METRIC: evaluation.score if evaluation else _failed_score(sweep.campaign.config),
                "resource": sweep.settings.keep**rung,
                "over": rung == last,
                "shown": describe_score(evaluation) if evaluation else "training failed",
            }
        )


def play_rungs(workshop: Workshop, number: int, values: Values) -> Iterator[tuple[int, Evaluation | None]]:
    """Train a trial up to each rung in turn and measure it there; None if training failed.

    A training that failed or stopped early makes no further progress, so its result counts for the last rung.
    """
    sweep = workshop.sweep
    config, last = sweep.campaign.varied(values), sweep.settings.rungs - 1
    with closing(open_run(sweep, config, sweep.trial(number))) as run:
        for rung in range(sweep.settings.rungs):
            result = training_result(run.read, rung) or _train(workshop, run, values, rung)
            if isinstance(result, TrainFailure):
                yield last, None
                return
            evaluation = run.read(stage(rung, "select"), Evaluation)
            if evaluation is None:
                evaluation = _select(workshop, run, rung, result)
            if rung:
                # The model and the training state of the rung before are no longer needed.
                shutil.rmtree(run.path / stage(rung - 1, "training"), ignore_errors=True)
            yield last if result.stopped_early else rung, evaluation
            if result.stopped_early:
                return


def material_for(sweep: SweepRun, values: Values, context_of: Callable[[Config, Run], Context]) -> Material:
    """Return what a trial with `values` learns from; the first trial that needs it makes it."""
    campaign = sweep.campaign
    what = {key: value for key, value in values.items() if not campaign.says_how(key)}
    config = campaign.varied(what)
    name = f"{sweep.run_id}/material/{config_hash(config)[:12]}"
    with closing(open_run(sweep, config, name)) as run:
        context = context_of(config, run)
        selection = frozenset(problem.id for problem in sweep.selection(context.suite))
        proposal: Proposal | None = None
        data: TrainingSet | None
        if sweep.round:
            loop, settings = load_loop(config.loop)
            proposal = loop.propose(context, settings, sweep.parent(), sweep.round, selection)
            data, training, seen = proposal.data, proposal.train, proposal.seen
        else:
            assert config.warm_start is not None
            data, seen = gold_answers(context, config.warm_start, selection)
            training = campaign.training
        if data is not None:
            how = campaign.varied(values).trains[training]
            num = num_rows(round(len(data.rows) * how.epochs), how.held_share)
            # The number of rows is all that trials of the same material differ in.
            data = rehearsed(context, f"rehearse-{num}", sweep.round, how, data)
    return Material(data, training, proposal, seen | selection)


def open_run(sweep: SweepRun, config: Config, name: str) -> Run:
    """Open a run of the sweep by its id, or begin it, once no other process holds it."""
    while True:
        try:
            return Run.create(sweep.home, config, name)
        except RunHeld:
            time.sleep(_WAIT)


def _failed_score(config: Config) -> float:
    return 0.0 if exam_of(suite_of(config).task).samples else _WORST


def _train(workshop: Workshop, run: Run, values: Values, rung: int) -> Challenger | TrainFailure:
    sweep, config = workshop.sweep, run.config
    material = material_for(sweep, values, workshop.context)
    out = run.path / stage(rung, "training")
    state = run.path / stage(rung - 1, "training") / "state" if rung else None

    def make() -> Challenger | TrainFailure:
        if material.data is None:
            return TrainFailure(fault=TrainFault.NOTHING_TO_LEARN, reason="the loop found nothing to learn")
        workshop.benches.labels.sampler.sleep()
        return train(
            config.trains[material.training],
            material.data,
            parent=sweep.parent().path,
            out=out,
            workers=sweep.plan.workers[material.training],
            seed=config.seed + sweep.round,
            on_metrics=lambda entries: run.metrics([{"round": rung, "stage": "train", **e} for e in entries]),
            stretch=Stretch(until=sweep.settings.share(rung), state=state),
            crew=workshop.crew,
        )

    return run.step(stage(rung, "train"), Challenger | TrainFailure, make)  # type: ignore[arg-type]


def _select(workshop: Workshop, run: Run, rung: int, challenger: Challenger) -> Evaluation:
    config = run.config
    suite = suite_in_sweep(config, workshop.sweep.home, workshop.sweep.run_id)
    problems, exam = workshop.sweep.selection(suite), exam_of(suite.task)

    def make() -> Evaluation:
        model = Model(id=challenger.model_id, path=Path(challenger.path))
        greedy = Sampling(max_new_tokens=config.sampler.max_new_tokens)
        given = exam.ask(workshop.benches.gate, model, problems, greedy)
        return exam.measure(suite.task, problems, given)

    return run.step(stage(rung, "select"), Evaluation, make)
