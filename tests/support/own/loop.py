"""A loop of one's own: learn the gold answers of what the parent got wrong, with a weight."""

from collections.abc import Sequence
from dataclasses import replace

from configs.base import Leaf
from engine.curate.rows import rows_of
from engine.measure.evaluate import answer
from engine.models.identity import Model
from engine.preflight.workload import Lengths, Range, Work, exactly
from engine.records import Answer, Panel, Status, TrainingRow, TrainingSet
from engine.sample.protocol import Sampling
from engine.tasks.suite import Suite
from loops.context import Context
from loops.loop import Proposal


class Settings(Leaf):
    num_problems: int = 24
    weight: float = 2.0


def propose(
    context: Context, settings: Settings, parent: Model, number: int, seen: frozenset[str]
) -> Proposal:
    problems = context.suite.draw(
        settings.num_problems, split=f"ask-{number}", seed=context.config.seed, exclude=seen
    )
    greedy = Sampling(max_new_tokens=context.config.sampler.max_new_tokens)
    answers = context.run.step_many(
        context.stage(number, "ask"),
        Answer,
        lambda: answer(context.bench, parent.path, problems, greedy),
    )
    failed = {each.verdict.problem_id for each in answers if each.verdict.status is Status.FAIL}
    rows = [
        replace(row, weight=settings.weight)
        for problem in problems
        if problem.id in failed
        for row in rows_of(problem, problem.gold, system=context.bench.system)
    ]
    data = context.run.step(context.stage(number, "rows"), TrainingSet, lambda: TrainingSet.of(rows))
    return Proposal(
        data=data if rows else None,
        seen=seen | {problem.id for problem in problems},
        panels=(Panel(title="Asked and failed", kind="bars", rows=(("failed", str(len(rows))),)),),
    )


def work(settings: Settings, lengths: Lengths) -> Sequence[Work]:
    return [lengths.asked("ask", exactly(settings.num_problems), swaps=Range(0, 1))]


def example(settings: Settings, suite: Suite, system: str) -> TrainingRow:
    (problem,) = suite.draw(1, split="example", seed=0)
    return rows_of(problem, problem.gold, system=system)[-1]
