"""Round 0: the base is trained on gold answers or passages and becomes the line's first champion."""

from configs.schema import WarmStart
from engine.curate.rows import gold_rows
from engine.measure.evaluate import Unjudged
from engine.models.identity import Model
from engine.records import Check, RoundRecord, TrainingSet
from loops.context import Context
from loops.record import (
    Outcome,
    Stopped,
    judge_and_record,
    promote,
    record_of,
    register,
    stopped_in,
    untested,
)
from loops.training import clear, train_challenger
from loops.transfer import transfer_panels


def round_zero(context: Context) -> tuple[RoundRecord, frozenset[str]]:
    """The warm start: supervised training on what is right, judged against the base for harm alone."""
    base, warm = Model.of(context.base), context.config.warm_start
    if warm is None:
        return _base_as_baseline(context, base), frozenset()
    data, seen = gold_answers(context, warm, frozenset())
    outcome, selection = _trained(context, data, base, seen)
    seen = seen | selection
    record = judge_and_record(context, 0, base, outcome, None, seen, 0)
    clear(context, 0)
    return record, seen


def _trained(
    context: Context, data: TrainingSet, base: Model, seen: frozenset[str]
) -> tuple[Outcome, frozenset[str]]:
    """What came of the training, and the problems on which its checkpoints were compared."""
    if stopped := stopped_in(context, 0):
        return stopped, frozenset()
    try:
        return train_challenger(context, 0, "warm_start.train", data, base, seen)
    except Unjudged as error:
        return Stopped(str(error)), frozenset()


def gold_answers(
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
    rows = [row for problem in problems for row in gold_rows(problem, system=context.bench.system)]
    data = context.run.step(context.stage(0, "gold"), TrainingSet, lambda: TrainingSet.of(rows))
    return data, frozenset(problem.id for problem in problems)


def _base_as_baseline(context: Context, base: Model) -> RoundRecord:
    """Without a warm start the base itself is the line's first champion."""
    register(context, base.path, base.id, parent_id="", training_set_id="")
    check = Check(name="baseline", observed="the untrained base", threshold="none", passed=True)
    decision = untested(check, base.id, base.id)
    panels = transfer_panels(context, 0, base.id)
    record = context.run.step(
        context.stage(0, "round"),
        RoundRecord,
        lambda: record_of(context, 0, base, None, None, decision, None, base.id, panels),
    )
    promote(context, 0, 0, base.id, decision)
    return record
