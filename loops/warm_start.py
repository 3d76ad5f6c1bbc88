"""Round 0: the base is trained on gold answers and becomes the line's first champion."""

from configs.schema import WarmStart
from engine.curate.preferences import training_set
from engine.gate import arithmetic as gate
from engine.models.identity import Contestant
from engine.records import Check, RoundRecord, TrainingRow, TrainingSet
from loops.context import Context
from loops.record import _promote, _record, judge_and_record, register
from loops.round import _train


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


def round_zero(context: Context) -> tuple[RoundRecord, frozenset[str]]:
    """The warm start: SFT from gold proofs, judged against the base for harm alone."""
    config, base = context.config, Contestant.of(context.base)
    warm = config.warm_start
    if warm is None:
        return _base_as_baseline(context, base), frozenset()
    data, seen = gold_proofs(context, warm, frozenset())
    workers = context.plan.warm_start
    assert workers is not None
    outcome = _train(context, 0, warm.train, data, base, workers)
    return judge_and_record(context, 0, base, outcome, None, seen, 0), seen


def _base_as_baseline(context: Context, base: Contestant) -> RoundRecord:
    """Without a warm start the base itself is the line's first champion."""
    register(context, base.path, base.id, parent_id="", training_set_id="")
    check = Check(name="baseline", observed="the untrained base", threshold="none", passed=True)
    decision = gate.decide([check], champion_id=base.id, challenger_id=base.id, level=0, entropy=0, looks=[])
    record = context.run.step(
        context.stage(0, "round"),
        RoundRecord,
        lambda: _record(context, 0, base, None, None, decision, None, base.id),
    )
    _promote(context, 0, 0, base.id, decision)
    return record
