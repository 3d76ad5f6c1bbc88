"""From rows to a challenger: rehearsal mixed in, one training or the best of its checkpoints, registered."""

import logging
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

from configs.training import Select, Train
from engine.curate.rehearse import num_rows, rehearsal
from engine.errors import Lost
from engine.gate.exams import exam_of
from engine.models.identity import Model
from engine.models.reference import References
from engine.records import (
    Challenger,
    Evaluation,
    Problem,
    TrainFailure,
    TrainFault,
    TrainingRow,
    TrainingSet,
)
from engine.sample.protocol import Sampling
from engine.terminal import counted, duration
from engine.train.driver import Stretch, train
from loops.context import Context
from loops.record import register

log = logging.getLogger(__name__)

NO_START = "the warm start could not be trained"
_LOST = (TrainFault.WORKER_LOST, TrainFault.OUT_OF_MEMORY)
"""Faults after which the same training may succeed at another time."""


class Untrained(Lost):
    """A warm start could not be trained, so that there is no model to go on with."""


def train_challenger(
    context: Context, number: int, key: str, data: TrainingSet, parent: Model, seen: frozenset[str]
) -> tuple[Challenger | TrainFailure, frozenset[str]]:
    """The challenger of a round, in the registry by its content, or why there is none.

    `key` is the dotted key of the training in the config. Also returns the problems on which checkpoints were
    compared, none of which is one of `seen`: the gate must draw none of them. Raises Untrained where a warm
    start ends for what can go away; a resumed run then trains it anew. Raises Unjudged where the answers to
    those problems cannot be judged.
    """
    run, config = context.run, context.config.trains[key]
    stage = context.stage(number, "train")
    data = rehearsed(context, context.stage(number, "rehearse"), number, config, data)
    selection = frozenset[str]()

    def make() -> Challenger | TrainFailure:
        if config.select is None:
            outcome = _train(context, number, key, data, parent, f"{stage}ing", Stretch())
        else:
            outcome = _best_checkpoint(context, number, key, config.select, data, parent, seen)
        if isinstance(outcome, Challenger):
            register(
                context,
                Path(outcome.path),
                outcome.model_id,
                parent_id=parent.id,
                training_set_id=data.id,
                reference=outcome.reference,
            )
        return outcome

    if config.select is not None:
        selection = frozenset(each.id for each in _selection(context, number, config.select, seen))
    what = "Warm start" if number == 0 else f"Round {number}"
    held = f", {data.num_held} of them its own texts" if data.num_held else ""
    outcome = run.step(
        stage,
        Challenger | TrainFailure,  # type: ignore[arg-type]
        make,  # type: ignore[arg-type]
        doing=f"{what}: training on {counted(len(data.rows), 'row')}{held}",
        came=_in_words,
    )
    clear(context, number)
    return outcome, selection


def clear(context: Context, number: int) -> None:
    """Free the disk of a training whose challenger is in the registry, or whose round is recorded."""
    for left in (context.run.path / context.stage(number, "train")).parent.glob("training*"):
        shutil.rmtree(left, ignore_errors=True)


def _in_words(outcome: Challenger | TrainFailure) -> str:
    """What came of a training, for people who follow."""
    if isinstance(outcome, TrainFailure):
        return f"no challenger: {outcome.reason}"
    took = f"{counted(outcome.num_steps, 'step')} in {duration(outcome.seconds)}"
    return f"{took}, final loss {outcome.final_loss:.2f}: challenger {outcome.model_id}"


def rehearsed(context: Context, stage: str, number: int, config: Train, data: TrainingSet) -> TrainingSet:
    """The training set with as much of the base's own text as the config's share of rows asks for."""
    num = num_rows(round(len(data.rows) * config.epochs), config.held_share)
    if not num:
        return data
    own = context.run.step_many(
        stage,
        TrainingRow,
        lambda: rehearsal(context.bench.sampler, context.base, num, context.config.seed + number),
        doing=f"The base writes {num} texts, to be held to while others are learnt",
    )
    held = (replace(row, weight=config.held_weight) for row in own)
    return TrainingSet.of([*data.rows, *held], funnel=data.funnel)


def _train(
    context: Context, number: int, key: str, data: TrainingSet, parent: Model, place: str, stretch: Stretch
) -> Challenger | TrainFailure:
    run = context.run
    name = place.rpartition("/")[2].replace("training", "train")
    context.bench.sampler.sleep()
    outcome = train(
        context.config.trains[key],
        data,
        parent=parent.path,
        out=run.path / place,
        workers=context.plan.workers[key],
        seed=context.config.seed + number,
        on_metrics=lambda entries: run.metrics([{"round": number, "stage": name, **e} for e in entries]),
        stretch=stretch,
        crew=context.crew,
    )
    is_first = number == 0 and stretch.state is None
    if is_first and isinstance(outcome, TrainFailure) and outcome.fault in _LOST:
        raise Untrained(f"{NO_START}: {outcome.reason}; `ratchet resume {run.id}` tries it again")
    if isinstance(outcome, Challenger):
        References(run.home).adopt(outcome.model_id, Path(outcome.path))
    return outcome


def _selection(context: Context, number: int, select: Select, seen: frozenset[str]) -> list[Problem]:
    """Fresh problems of the round on which its checkpoints are compared; the same after a resume."""
    return context.suite_on(number).draw(
        select.problems, split=f"select-{number}", seed=context.config.seed, exclude=seen
    )


def _best_checkpoint(
    context: Context,
    number: int,
    key: str,
    select: Select,
    data: TrainingSet,
    parent: Model,
    seen: frozenset[str],
) -> Challenger | TrainFailure:
    """One training in equal stretches, each with a model at its end; the best on the selection split.

    The earliest of equals is taken. Training stops early after `select.patience` checkpoints without a rise.
    A later stretch that fails ends the training, not what came before it.
    """
    run, problems = context.run, _selection(context, number, select, seen)
    greedy = Sampling(max_new_tokens=context.config.sampler.max_new_tokens)
    measured: list[tuple[Challenger, Evaluation]] = []
    place = ""
    for step in range(1, select.checkpoints + 1):
        before, place = place, context.stage(number, f"training-{step}")
        stretch = Stretch(
            until=step / select.checkpoints, state=run.path / before / "state" if before else None
        )
        outcome = run.step(
            context.stage(number, f"train-{step}"),
            Challenger | TrainFailure,  # type: ignore[arg-type]
            partial(_train, context, number, key, data, parent, place, stretch),  # type: ignore[arg-type]
        )
        if isinstance(outcome, TrainFailure):
            if not measured:
                return outcome
            log.warning("round %d: training failed after checkpoint %d: %s", number, step - 1, outcome.reason)
            break
        model = Model(id=outcome.model_id, path=Path(outcome.path))
        evaluation = run.step(
            context.stage(number, f"select-{step}"),
            Evaluation,
            partial(_measure, context, model, problems, greedy),
        )
        measured.append((outcome, evaluation))
        scores = [each.score for _, each in measured]
        since = len(scores) - 1 - scores.index(max(scores))
        if outcome.stopped_early or (select.patience is not None and since >= select.patience):
            break
    best, figures = max(measured, key=lambda each: each[1].score)
    log.info(
        "round %d: the best of %d checkpoints, of %d planned, is after %d steps, %s %.1f %%",
        number,
        len(measured),
        select.checkpoints,
        best.num_steps,
        figures.head.title,
        100 * figures.head.number,
    )
    return replace(best, seconds=round(sum(each.seconds for each, _ in measured), 1))


def _measure(context: Context, model: Model, problems: list[Problem], greedy: Sampling) -> Evaluation:
    task, exam = context.suite.task, exam_of(context.suite.task)
    return exam.measure(task, problems, exam.ask(context.judges, model, problems, greedy))
