"""What a round of SOKRATES samples, and the predictor that says which problems are worth further samples."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from configs.loop_parts import Allocate, Predictor
from configs.loops import OakDpo
from engine.measure.evaluate import answer
from engine.models.identity import Model
from engine.predict.allocate import most_worth
from engine.predict.panel import panels_of
from engine.preflight.workload import Lengths, Range, Work
from engine.records import Answer, Foresight, Panel, Problem
from engine.sample.protocol import Sampling
from loops.context import Context


class Probed(NamedTuple):
    """The round's probe, whose lines the predictor learns from as well."""

    problems: Sequence[Problem]
    answers: Sequence[Answer]


class Tried(NamedTuple):
    """What was sampled of a round's problems."""

    answers: list[Answer]
    """One problem may have more of them than another."""
    panels: tuple[Panel, ...] = ()


def try_problems(
    context: Context,
    settings: OakDpo,
    parent: Model,
    number: int,
    problems: Sequence[Problem],
    sampling: Sampling,
    probed: Probed,
) -> Tried:
    """The parent's verified answers to `problems`, as many in all as `sampling` says for each on average.

    Raises Unjudged, and engine.predict.states.StatesLost.
    """
    predictor = settings.predictor
    allocate = predictor.allocate if predictor else None
    first = replace(sampling, samples=allocate.first) if allocate else sampling
    answers = context.run.step_many(
        context.stage(number, "sample"),
        Answer,
        lambda: answer(context.bench, parent.path, problems, first),
        doing=f"It tries {len(problems)} new problems {first.samples} times each; every answer is checked",
    )
    if predictor is None:
        return Tried(answers)
    found = _foreseen(context, predictor, parent, number, problems, answers, probed)
    if allocate is None:
        return Tried(answers, panels_of(found, "It was measured, and nothing rests on it."))
    chosen, more = _further(problems, answers, found, settings, allocate, sampling.seed)
    further = replace(sampling, first=first.samples, samples=more)
    answers += context.run.step_many(
        context.stage(number, "sample-more"),
        Answer,
        lambda: answer(context.bench, parent.path, chosen, further),
        doing=f"It tries {len(chosen)} of them {more} times more",
    )
    return Tried(answers, panels_of(found, _use(found, len(chosen), len(problems), more)))


def _foreseen(
    context: Context,
    predictor: Predictor,
    parent: Model,
    number: int,
    problems: Sequence[Problem],
    answers: Sequence[Answer],
    probed: Probed,
) -> Foresight:
    """The predictor of the round, a stage of it."""
    stage, config = context.stage(number, "predictor"), context.config

    def make() -> Foresight:
        from engine.predict.predictor import foresee  # with numpy, for which `ratchet plan` should not wait
        from engine.predict.states import Place

        context.bench.sampler.sleep()
        return foresee(
            [*probed.problems, *problems],
            [*probed.answers, *answers],
            settings=predictor,
            model=parent.path,
            place=Place(
                context.plan.samplers.threads, context.plan.workers["loop.train"].gpus, config.sampler.dtype
            ),
            system=context.bench.system,
            seed=config.seed + number,
        )

    return context.run.step(
        stage,
        Foresight,
        make,
        doing="A predictor learns which of its lines are valid",
        came=_in_words,
    )


def _further(
    problems: Sequence[Problem],
    answers: Sequence[Answer],
    found: Foresight,
    settings: OakDpo,
    allocate: Allocate,
    seed: int,
) -> tuple[Sequence[Problem], int]:
    """The problems that are sampled again, and how often: all, where the predictor is not shown to help."""
    left = settings.samples - allocate.first
    if not found.is_better:
        return problems, left
    num = max(1, len(problems) * left // allocate.more)
    worth = most_worth(
        problems, answers, found.chances, num=num, more=allocate.more, settings=settings, seed=seed
    )
    return worth, allocate.more


def _use(found: Foresight, num: int, of: int, more: int) -> str:
    """What the predictor was used for, for people."""
    if found.is_better:
        return f"It chose {num} of {of} problems for {more} further samples each."
    return f"It is not shown to help, so that all {of} problems got {more} further samples each."


def _in_words(found: Foresight) -> str:
    """What came of a predictor, for people who follow."""
    if found.missing:
        return f"no predictor: {found.missing}"
    brier, ece = found.scores[0].brier.value, found.scores[0].ece.value
    shown = "shown to help" if found.is_better else "not shown to help"
    return f"Brier score {brier:.3f}, calibration error {ece:.3f} on {found.num_steps} lines: {shown}"


def read_work(settings: OakDpo, lengths: Lengths) -> list[Work]:
    """What the predictor reads in a round: prompts with their replies, which have a line at the least."""
    if settings.predictor is None:
        return []
    samples = settings.predictor.allocate.first if settings.predictor.allocate else settings.samples
    most = settings.probe.num_problems + settings.num_problems * samples
    num = Range(0, min(most, settings.predictor.steps))
    return [
        Work(stage="predictor", requests=num, prompt_tokens=num.times(lengths.prompt.plus(lengths.answer)))
    ]
