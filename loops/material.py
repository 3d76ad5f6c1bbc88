"""What is learnt beside a loop's own proposals: gold proofs, and the base's own text."""

from configs.schema import Train
from engine.curate.preferences import training_set
from engine.curate.rehearse import num_rows, rehearsal
from engine.records import TrainingRow, TrainingSet
from loops.context import Context


def rehearsed(context: Context, stage: str, number: int, config: Train, data: TrainingSet) -> TrainingSet:
    """The training set with so much of the base's own text that it makes its share of what is learnt."""
    num = num_rows(round(len(data.rows) * config.epochs), config.rehearsal_share)
    if not num:
        return data
    own = context.run.step_many(
        stage,
        TrainingRow,
        lambda: rehearsal(context.bench.sampler, context.base, num, context.config.seed + number),
    )
    return training_set(data.method, [*data.rows, *own], num_rehearsal=num, funnel=data.funnel)
