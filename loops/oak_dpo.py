"""SOKRATES (OaK-DPO): sample proofs, check every step, prefer the better proved.

A round measures its parent on fresh problems, mines where it fails, draws problems
aimed there, samples k proofs of each, verifies every line, and makes preference pairs (`dpo`) or keeps the
verified proofs (`rft`). A predictor of valid lines may say which problems get more than k (`foresight.py`).
"""

from collections.abc import Sequence
from dataclasses import replace

from configs.loops import OakDpo
from engine.curate.preferences import build
from engine.curate.rows import gold_example
from engine.measure.evaluate import answer, measure
from engine.measure.mine import mine, slice_weights
from engine.models.identity import Model
from engine.preflight.workload import NONE, Lengths, Range, Work, exactly
from engine.records import Answer, TrainingRow, TrainingSet, Weakness
from engine.report.figures import headline_of
from engine.sample.protocol import Sampling
from engine.tasks.suite import Suite
from loops.context import Context
from loops.foresight import Probed, read_work, try_problems
from loops.loop import Proposal
from loops.weak import MOST_FRESH


def propose(context: Context, settings: OakDpo, parent: Model, number: int, seen: frozenset[str]) -> Proposal:
    """Pairs or verified proofs for `parent`. `seen` are the ids of problems that earlier rounds used."""
    config, run, suite = context.config, context.run, context.suite
    length = config.sampler.max_new_tokens

    probe = suite.draw(settings.probe.num_problems, split=f"probe-{number}", seed=config.seed, exclude=seen)
    greedy = run.step_many(
        context.stage(number, "probe"),
        Answer,
        lambda: answer(context.bench, parent.path, probe, Sampling(max_new_tokens=length)),
        doing=f"Round {number}: the model answers {len(probe)} problems, which shows where it is weak",
        came=lambda answers: headline_of(measure(suite.task, probe, answers)),
    )
    judged = frozenset(problem.id for problem in probe)
    aimed = settings.num_problems if settings.aim == "weak" else 0
    weaknesses = run.step_many(
        context.stage(number, "mine"),
        Weakness,
        lambda: mine(probe, greedy, false_discovery=settings.probe.false_discovery, num_problems=aimed),
    )

    problems = suite.draw(
        settings.num_problems,
        split=f"propose-{number}",
        seed=config.seed,
        exclude=seen | judged,
        weights=slice_weights(
            suite.slices, weaknesses, settings.num_problems, getattr(suite, "mixture", None)
        ),
        questions=settings.questions,
    )
    sampling = Sampling(
        samples=settings.samples,
        temperature=settings.temperature,
        top_p=settings.top_p,
        seed=config.seed + number,
        max_new_tokens=length,
    )
    answers, panels = try_problems(
        context, settings, parent, number, problems, sampling, Probed(probe, greedy)
    )
    data = run.step(
        context.stage(number, "prefer"),
        TrainingSet,
        lambda: build(
            problems,
            answers,
            config=settings,
            system=context.bench.system,
            seen_by_judges=judged,
            target=suite.task.target,
        ),
        doing="What it did right becomes what it learns",
        came=lambda data: f"{len(data.rows)} rows to learn from {len(answers)} answers",
    )
    return Proposal(
        data=data,
        probe=measure(suite.task, probe, greedy),
        weaknesses=tuple(weaknesses),
        seen=seen | judged | {problem.id for problem in problems},
        panels=panels,
    )


def work(settings: OakDpo, lengths: Lengths) -> Sequence[Work]:
    """Probe, samples and training, from no proof worth learning from to the most that there can be."""
    most = settings.num_problems * (
        settings.samples - 1
        if settings.train.TEXTS_A_ROW == 2
        else min(settings.proofs_per_problem, settings.samples)
    )
    return [
        lengths.asked("probe", exactly(settings.probe.num_problems), swaps=Range(0, 1)),
        lengths.asked("sample", exactly(settings.num_problems), samples=settings.samples, swaps=NONE),
        *read_work(settings, lengths),
        lengths.learnt("train", "loop.train", settings.train, Range(0, most)),
        lengths.asked("closing", Range(0, MOST_FRESH), models=2, swaps=Range(0, 2)),
    ]


def example(settings: OakDpo, suite: Suite, system: str) -> TrainingRow:
    """The last turn of a gold answer as the round would learn it; a stand-in is what pairs prefer it to."""
    row = gold_example(suite, system)
    return replace(row, rejected="Unknown") if settings.train.TEXTS_A_ROW == 2 else row
