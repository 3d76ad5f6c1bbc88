"""A trial of an experiment: one arm with one seed, trained on the common budget, measured at checkpoints.

The trial is a run directory, as in a sweep. What an interrupted one has trained and measured is not done
again, and a finished one has freed its models.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from configs.experiment import NONE, Design, Experiment
from configs.schema import Config
from configs.training import Train
from engine.disk.steps import Run
from engine.gate.sentinels import SentinelSuite, suites_of
from engine.gate.sentinels.proportion import KeptRecords
from engine.models.identity import Model
from engine.records import (
    Answer,
    AnyFloat,
    Challenger,
    Evaluation,
    Likelihood,
    Problem,
    Role,
    SentinelScores,
    Status,
    TrainFailure,
    TrainFault,
    TrainingSet,
    Weakness,
    from_json,
)
from engine.tasks.suite import Suite, guards_of, kept_apart
from loops.spent import suite_in_sweep
from tune.asked import Tokens, asked_of
from tune.budget import TooFewTokens, cut, learnt_tokens
from tune.outcome import describe_score, stage, training_result
from tune.space import Values
from tune.trial import forget, material_for, measure, train_to
from tune.workshop import TrialsRun, Workshop, open_run

PROBLEMS = "problems"
"""Stage of an experiment that holds the problems which every model answers."""
MEASURE, LEARNT = "measure", "learnt"
"""Stages of a trial: a model on these problems, at each checkpoint; and what it learns."""
WORST = -30.0
"""Nats a token, with a sign, of a text whose likelihood is not finite."""

FaultKind = Literal["loss explosion", "NaN", "memory", "regression", "infrastructure", "data"]
KINDS: dict[TrainFault, FaultKind] = {
    TrainFault.LOSS_EXPLODED: "loss explosion",
    TrainFault.NAN_GRADIENT: "NaN",
    TrainFault.OUT_OF_MEMORY: "memory",
    TrainFault.WORKER_LOST: "infrastructure",
    TrainFault.NOTHING_TO_LEARN: "data",
    TrainFault.RAISED: "infrastructure",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One model on the problems of an experiment."""

    evaluation: Evaluation
    scores: tuple[AnyFloat, ...]
    """One for each problem, more is better: 1 for passed and 0 for not, or nats a token with a minus sign."""
    asked: Tokens = Tokens()
    """Tokens that it took; none in files of earlier versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What a trial learns, before rehearsal is added."""

    training_set_id: str
    """Content hash of the rows."""
    num_rows: int
    num_tokens: int
    """Tokens with a loss, in one epoch."""
    epochs: float
    held_out: float = 0.0
    """Share of the rows, about, that are not learnt, as they tell when to stop."""
    num_steps: int = 0
    """Steps of the whole training, about; 0 in files of earlier versions."""
    aims: bool = False
    """Whether the loop aims at what it finds weak."""
    aimed_at: tuple[str, ...] = ()
    """Slices that the loop found weak by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTrial:
    """The result of one trial of an experiment."""

    number: int
    arm: str
    seed: int
    status: Literal["finished", "failed", "under way"]
    fault: FaultKind | None = None
    reason: str = ""
    """Why it failed."""
    learnt: Learnt | None = None
    readings: tuple[Reading, ...] = ()
    """One for each checkpoint, the last after the whole training; of `none` there is one."""
    sentinels: tuple[SentinelScores, ...] = ()
    challenger: Challenger | None = None
    """The last model trained."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time by stage."""
    memory_mib: int = 0
    """Peak memory of its training worker."""

    @property
    def done(self) -> float:
        """The share of its training that was done, about: less than 1 where that did not come to its end."""
        if self.challenger is None:
            return 0.0
        whole = self.status == "finished" and not self.challenger.stopped_early
        if whole or not (self.learnt and self.learnt.num_steps):
            return 1.0
        return min(1.0, self.challenger.num_steps / self.learnt.num_steps)

    @property
    def num_tokens(self) -> float:
        """Tokens with a loss that were learnt, over all epochs, as far as it came."""
        if not self.learnt:
            return 0.0
        return self.learnt.num_tokens * self.learnt.epochs * (1 - self.learnt.held_out) * self.done


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRun(TrialsRun):
    """An experiment under way, whose champion and problems are there."""

    settings: Experiment
    design: Design
    no_result: ClassVar = (TrainFault.WORKER_LOST, TrainFault.OUT_OF_MEMORY)

    def selection(self, suite: Suite) -> list[Problem]:
        """The problems that were drawn when the experiment began."""
        return problems_of(self.path)

    def within_budget(self, config: Train, data: TrainingSet) -> TrainingSet:
        """As many learnt tokens as every arm has, where that is given. Raises TooFewTokens."""
        if self.settings.learnt_tokens is None:
            return data
        lengths = learnt_tokens(data.rows, config, self.parent().path)
        return cut(data, lengths, self.settings.learnt_tokens)

    def values(self, number: int) -> Values:
        """What a trial changes of the campaign."""
        return self.settings.values(*self.design.trials[number])


def problems_of(run_dir: Path) -> list[Problem]:
    """The problems that every model of an experiment answers, in order."""
    lines = (run_dir / f"{PROBLEMS}.jsonl").read_bytes().splitlines()
    return [from_json(Problem, line) for line in lines]


def play_arm(setting: dict[str, Any], workshop: Workshop) -> None:
    """Play one trial and report to Tune after each checkpoint. Tune calls this function."""
    from ray import tune

    for reading in play_checkpoints(workshop, setting["number"]):
        tune.report({"shown": describe_score(reading.evaluation)})


def play_checkpoints(workshop: Workshop, number: int) -> Iterator[Reading]:
    """Train a trial up to each checkpoint in turn and measure it there; at the end also on the sentinels."""
    trials = workshop.trials
    assert isinstance(trials, ExperimentRun)
    arm, values = trials.design.trials[number][0], trials.values(number)
    with closing(open_run(trials, trials.campaign.varied(values), trials.trial(number))) as run:
        if arm == NONE:
            yield read_model(workshop, run, stage(0, MEASURE), trials.parent())
            ask_sentinels(workshop, run, trials.parent())
            return
        try:
            yield from _trained(workshop, run, values)
        except TooFewTokens as error:
            failure = TrainFailure(fault=TrainFault.NOTHING_TO_LEARN, reason=str(error))
            run.step(stage(0, "train"), TrainFailure, lambda: failure)


def _trained(workshop: Workshop, run: Run, values: Values) -> Iterator[Reading]:
    last = workshop.trials.settings.rungs - 1
    for rung in range(last + 1):
        result = training_result(run.read, rung)
        if result is None:
            if not run.is_done(LEARNT):
                note_learnt(workshop, run, values)
            result = train_to(workshop, run, values, rung)
        if isinstance(result, TrainFailure):
            return
        model = Model(id=result.model_id, path=Path(result.path))
        yield read_model(workshop, run, stage(rung, MEASURE), model)
        if rung:
            forget(run, rung - 1)
        if result.stopped_early or rung == last:
            ask_sentinels(workshop, run, model)
            forget(run, rung)
            return


def note_learnt(workshop: Workshop, run: Run, values: Values) -> None:
    """Record what a trial learns. Raises TooFewTokens."""
    trials = workshop.trials
    data, training, proposal, _ = material_for(trials, values, workshop.context)
    if data is None:
        return
    rows = [row for row in data.rows if row.role is Role.LEARN]
    config = run.config.trains[training]
    fit = len(rows) * (1 - config.validation_share) * config.epochs

    def count() -> Learnt:
        return Learnt(
            training_set_id=TrainingSet.of(rows).id,
            num_rows=len(rows),
            num_tokens=sum(learnt_tokens(rows, config, trials.parent().path)),
            epochs=config.epochs,
            held_out=config.validation_share,
            num_steps=math.ceil((fit + data.num_held) / config.batch_size),
            aims=getattr(run.config.loop, "aims", False),
            aimed_at=weak_slices(proposal.weaknesses if proposal else ()),
        )

    run.step(LEARNT, Learnt, count)


def weak_slices(weaknesses: Sequence[Weakness]) -> tuple[str, ...]:
    """The slices of weaknesses, each once, in their order."""
    return tuple(dict.fromkeys(weakness.slice for weakness in weaknesses))


def read_model(workshop: Workshop, run: Run, name: str, model: Model) -> Reading:
    """A model on the experiment's problems, greedy: a stage of a run."""

    def make() -> Reading:
        evaluation, given = measure(workshop, run, model)
        scores = tuple(score_of(each) for each in given)
        return Reading(evaluation=evaluation, scores=scores, asked=asked_of(given))

    return run.step(name, Reading, make)


def score_of(given: Answer | Likelihood) -> float:
    """What an answer or a likelihood counts; more is better. An undecided answer has not passed."""
    if isinstance(given, Answer):
        return float(given.verdict.status is Status.PASS)
    return -given.nll / given.num_tokens if math.isfinite(given.nll) else WORST


def ask_sentinels(workshop: Workshop, run: Run, model: Model) -> list[SentinelScores]:
    """A model on every sentinel suite of the campaign and on all that its task guards, each in a stage."""
    config = run.config
    return [
        run.step(
            f"sentinels/{suite.name}",
            SentinelScores,
            partial(suite.ask, workshop.benches.gate, model, config.sampler.max_new_tokens),
        )
        for suite in suites_for(workshop.trials, config)
    ]


def suites_for(trials: TrialsRun, config: Config) -> list[SentinelSuite]:
    """The sentinel suites of the campaign, and all that its task guards.

    Records that the task keeps apart are the last of the suites.
    """
    suite = trials.on_its_day(suite_in_sweep(config, trials.home, trials.run_id))
    guards = {guard.name: guard.problems for guard in guards_of(suite)}
    guarded = [KeptRecords(name=name, problems=problems) for name, problems in guards.items()]
    return [*suites_of(config.gate.sentinels.suites, kept_apart(suite)), *guarded]
