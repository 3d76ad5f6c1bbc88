"""One trial: a challenger trained with some values up to a rung, and the material that trials share.

A trial runs in a process of Ray Tune's. Everything it makes is in a run directory of its own, so an
interrupted trial goes on, and a finished one only reports its result again. Material that no value of a trial
affects is made once, in a run directory that the trials share. A sweep's trials are measured on the selection
split after each rung; those of an experiment are in `arms.py`.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from configs.load import config_hash
from configs.schema import Config
from engine.curate.rehearse import num_rows
from engine.disk.steps import Run
from engine.errors import Lost
from engine.gate.exams import exam_of
from engine.models.identity import Model
from engine.models.reference import References
from engine.records import (
    Answer,
    Challenger,
    Evaluation,
    Likelihood,
    TrainFailure,
    TrainFault,
    TrainingSet,
)
from engine.sample.protocol import Sampling
from engine.tasks import suite_of
from engine.train.driver import Stretch, train
from loops import load_loop
from loops.context import Context
from loops.loop import Proposal
from loops.spent import suite_in_sweep
from loops.training import rehearsed
from loops.warm_start import gold_answers
from tune.outcome import describe_score, stage, training_result
from tune.space import METRIC, Values
from tune.workshop import SweepRun, TrialsRun, Workshop, open_run

_WORST = -1e12
"""Score of a failed training where the headline is not a share: no model finds a text that unlikely."""


class TrainingLost(Lost):
    """A training ended for what can go away. It is no result of its trial, and is not kept as one."""

    fault = TrainFault.WORKER_LOST


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

    sweep = workshop.trials
    assert isinstance(sweep, SweepRun)
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
    sweep = workshop.trials
    config, last = sweep.campaign.varied(values), sweep.settings.rungs - 1
    with closing(open_run(sweep, config, sweep.trial(number))) as run:
        for rung in range(sweep.settings.rungs):
            result = training_result(run.read, rung) or train_to(workshop, run, values, rung)
            if isinstance(result, TrainFailure):
                yield last, None
                return
            evaluation = _select(workshop, run, rung, result)
            if rung:
                forget(run, rung - 1)
            yield last if result.stopped_early else rung, evaluation
            if result.stopped_early:
                return


def material_for(trials: TrialsRun, values: Values, context_of: Callable[[Config, Run], Context]) -> Material:
    """Return what a trial with `values` learns from; the first trial that needs it makes it."""
    campaign = trials.campaign
    what = {key: value for key, value in values.items() if not campaign.says_how(key)}
    config = campaign.varied(what)
    name = f"{trials.run_id}/material/{config_hash(config)[:12]}"
    with closing(open_run(trials, config, name)) as run:
        context = context_of(config, run)
        measured = trials.selection(context.suite)
        selection = frozenset(problem.id for problem in measured)
        context = replace(context, measured=tuple(problem.text for problem in measured))
        proposal: Proposal | None = None
        data: TrainingSet | None
        if trials.round:
            proposal = load_loop(config.loop).propose(context, trials.parent(), trials.round, selection)
            data, training, seen = proposal.data, proposal.train, proposal.seen
        else:
            assert config.warm_start is not None
            data, seen = gold_answers(context, config.warm_start, selection)
            training = campaign.training
        if data is not None:
            how = campaign.varied(values).trains[training]
            data = trials.within_budget(how, data)
            num = num_rows(round(len(data.rows) * how.epochs), how.held_share)
            # The number of rows is all that trials of the same material differ in.
            data = rehearsed(context, f"rehearse-{num}", trials.round, how, data)
    return Material(data, training, proposal, seen | selection)


def _failed_score(config: Config) -> float:
    return 0.0 if exam_of(suite_of(config).task).samples else _WORST


def train_to(workshop: Workshop, run: Run, values: Values, rung: int) -> Challenger | TrainFailure:
    """Train a trial up to a rung, from where the rung before has left it. Raises TrainingLost."""
    trials, config = workshop.trials, run.config
    material = material_for(trials, values, workshop.context)
    out = run.path / stage(rung, "training")
    state = run.path / stage(rung - 1, "training") / "state" if rung else None

    def make() -> Challenger | TrainFailure:
        if material.data is None:
            return TrainFailure(fault=TrainFault.NOTHING_TO_LEARN, reason="the loop found nothing to learn")
        workshop.benches.labels.sampler.sleep()
        outcome = train(
            config.trains[material.training],
            material.data,
            parent=trials.parent().path,
            out=out,
            workers=trials.plan.workers[material.training],
            seed=config.seed + trials.round,
            on_metrics=lambda entries: run.metrics([{"round": rung, "stage": "train", **e} for e in entries]),
            stretch=Stretch(until=trials.settings.share(rung), state=state),
            crew=workshop.crew,
        )
        if isinstance(outcome, TrainFailure) and outcome.fault in trials.no_result:
            lost = TrainingLost(outcome.reason)
            lost.fault = outcome.fault
            raise lost
        if isinstance(outcome, Challenger):
            References(trials.home).adopt(outcome.model_id, Path(outcome.path))
        return outcome

    return run.step(stage(rung, "train"), Challenger | TrainFailure, make)  # type: ignore[arg-type]


def forget(run: Run, rung: int) -> None:
    """Free the model and the training state of a rung once they are no longer needed."""
    shutil.rmtree(run.path / stage(rung, "training"), ignore_errors=True)


def measure(workshop: Workshop, run: Run, model: Model) -> tuple[Evaluation, Sequence[Answer | Likelihood]]:
    """A model on the problems on which every trial is measured, greedy: its figures, and what they are of."""
    trials, config = workshop.trials, run.config
    suite = suite_in_sweep(config, trials.home, trials.run_id)
    problems, exam = trials.selection(suite), exam_of(suite.task)
    greedy = Sampling(max_new_tokens=config.sampler.max_new_tokens)
    given = exam.ask(workshop.benches.gate, model, problems, greedy)
    return exam.measure(suite.task, problems, given), given


def _select(workshop: Workshop, run: Run, rung: int, challenger: Challenger) -> Evaluation:
    model = Model(id=challenger.model_id, path=Path(challenger.path))
    return run.step(stage(rung, "select"), Evaluation, lambda: measure(workshop, run, model)[0])
