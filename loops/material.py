"""What is learnt beside a loop's own proposals: gold proofs, and the base's own text."""

from configs.schema import Train, WarmStart
from engine.preferences import training_set
from engine.records import TrainingRow, TrainingSet
from engine.rehearse import num_rows, rehearsal
from loops.context import Context


def gold_proofs(
    context: Context, warm: WarmStart, exclude: frozenset[str]
) -> tuple[TrainingSet, frozenset[str]]:
    """What a warm start learns, and the problems that it is about: none of `exclude`."""
    problems = context.suite.draw(
        warm.proofs,
        split="warm-start",
        seed=context.config.seed,
        exclude=exclude,
        questions=warm.questions,
    )
    rows = [TrainingRow.of(problem, problem.gold_text, system=context.config.system) for problem in problems]
    data = context.run.step(context.stage(0, "prefer"), TrainingSet, lambda: training_set("sft", rows))
    return data, frozenset(problem.id for problem in problems)


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
