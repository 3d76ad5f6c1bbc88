"""One round: train, prove, judge, record, promote. Round 0 is the warm start."""

import logging
import shutil
from pathlib import Path

from configs.schema import Train
from engine.measure.evaluate import Unjudged
from engine.models.identity import Contestant
from engine.plan.plan import Group
from engine.records import (
    Challenger,
    RoundRecord,
    TrainFailure,
    TrainingSet,
)
from engine.train.driver import train
from loops import LOOPS
from loops.context import Context
from loops.material import rehearsed
from loops.record import _stopped_round, judge_and_record, register

log = logging.getLogger(__name__)


def play_round(
    context: Context, number: int, champion: Contestant, seen: frozenset[str], before: list[RoundRecord]
) -> tuple[RoundRecord, frozenset[str]]:
    """Propose, train, judge, record, promote."""
    recorded = context.run.read(context.stage(number, "round"), RoundRecord)
    if recorded and not context.run.is_done(context.stage(number, "train")):
        # It was stopped before there was a challenger, and is not taken up again.
        return recorded, seen
    try:
        proposal = LOOPS[context.config.loop](context, champion.path, number, seen)
    except Unjudged as error:
        return _stopped_round(context, number, champion, str(error)), seen
    outcome = _train(context, number, context.config.train, proposal.data, champion, context.plan.train)
    seen = seen | proposal.seen
    num_promoted = sum(record.decision.accepted for record in before)
    return judge_and_record(context, number, champion, outcome, proposal, seen, num_promoted), seen


def _train(
    context: Context, number: int, config: Train, data: TrainingSet, parent: Contestant, workers: Group
) -> Challenger | TrainFailure:
    """The challenger, already in the registry by its content, or why there is none."""
    run = context.run
    data = rehearsed(context, context.stage(number, "rehearse"), number, config, data)

    def make() -> Challenger | TrainFailure:
        context.bench.sampler.sleep()
        out = run.path / context.stage(number, "training")
        outcome = train(
            config,
            data,
            parent=parent.path,
            out=out,
            workers=workers,
            seed=context.config.seed + number,
            on_metrics=lambda entries: run.metrics(
                [{"round": number, "stage": "train", **e} for e in entries]
            ),
        )
        if isinstance(outcome, Challenger):
            register(
                context,
                Path(outcome.path),
                outcome.model_id,
                parent_id=parent.id,
                training_set_id=data.id,
            )
        shutil.rmtree(out, ignore_errors=True)
        return outcome

    return run.step(context.stage(number, "train"), Challenger | TrainFailure, make)  # type: ignore[arg-type]
