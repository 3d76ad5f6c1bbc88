"""What all trials of an experiment stand on: one champion, where it is weak, and the problems that all
answer.

Everything here happens once, before the first trial, and is kept in stages of the experiment's run.
"""

import logging
from contextlib import closing
from dataclasses import dataclass

from configs.experiment import Design
from engine.disk.steps import Run
from engine.errors import Lost
from engine.gate.exams import exam_of
from engine.measure.evaluate import measure
from engine.measure.mine import mine
from engine.models.identity import Model
from engine.plan.plan import Plan
from engine.records import Answer, Challenger, Problem, Start, TrainFailure, Weakness
from engine.report.figures import headline_of
from engine.sample.protocol import Sampling
from engine.tasks.suite import Suite
from loops.context import Context
from loops.training import train_challenger
from loops.warm_start import gold_answers
from tune.arms import MEASURE, PROBLEMS, ExperimentRun, ask_sentinels, read_model, weak_slices
from tune.workshop import Workshop

log = logging.getLogger(__name__)
GROUND, CHAMPION = "ground", "champion"
MIXED, WEAK = "selection", "selection-weak"
"""Splits of the problems: those of the task's mixture, and those of weak slices alone."""


class ExperimentError(Lost):
    """The experiment cannot go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all trials share."""

    champion: str
    trained: Challenger | None
    """The warm start that made it; None where it was there before."""
    weaknesses: tuple[Weakness, ...]
    """Where the champion is weak, on problems of their own."""
    num_probed: int
    """Those problems; 0 where nothing is mined."""


def lay_ground(run: Run, design: Design, plan: Plan, start: Start, entropy: int) -> Ground:
    """Make the champion, find where it is weak, draw the problems and measure it on them, each once.

    Raises ExperimentError where the warm start fails, DataError for too few problems, and Unjudged.
    """
    trials = ExperimentRun(
        home=run.home,
        run_id=run.id,
        settings=design.settings,
        design=design,
        campaign=design.rounds,
        plan=plan,
        start=start,
    )

    def make() -> Ground:
        with closing(Workshop(trials)) as workshop:
            context = workshop.context(run.config, run)
            champion, trained, seen = _champion(context)
            weaknesses, probed = _weaknesses(context, champion, design, seen)
            run.step_many(
                PROBLEMS,
                Problem,
                lambda: draw_problems(
                    context.suite, weaknesses, design.settings.num_problems, entropy, seen | probed
                ),
            )
            read_model(workshop, run, f"{CHAMPION}/{MEASURE}", champion)
            ask_sentinels(workshop, run, champion)
        return Ground(
            champion=champion.id, trained=trained, weaknesses=tuple(weaknesses), num_probed=len(probed)
        )

    return run.step(GROUND, Ground, make)


def _champion(context: Context) -> tuple[Model, Challenger | None, frozenset[str]]:
    """The champion, how it was trained, and the problems that it has to do with. Raises ExperimentError."""
    warm = context.config.warm_start
    if context.config.start == "champion" or warm is None:
        return context.start, None, frozenset(context.begun.touched)
    data, seen = gold_answers(context, warm, frozenset())
    outcome, selection = train_challenger(context, 0, "warm_start.train", data, context.start, seen)
    if isinstance(outcome, TrainFailure):
        raise ExperimentError(f"the warm start failed, so there is no champion: {outcome.reason}")
    return context.stored(outcome.model_id), outcome, seen | selection


def _weaknesses(
    context: Context, champion: Model, design: Design, seen: frozenset[str]
) -> tuple[list[Weakness], frozenset[str]]:
    """Where the champion is weak, and the problems that showed it; nothing where none are answered."""
    config, suite, settings = context.config, context.suite, design.settings.probe
    exam = exam_of(suite.task)
    if not exam.samples:
        return [], frozenset()
    problems = suite.draw(settings.num_problems, split="probe", seed=config.seed, exclude=seen)

    def ask() -> list[Answer]:
        greedy = Sampling(max_new_tokens=config.sampler.max_new_tokens)
        given = exam.ask(context.judges, champion, problems, greedy)
        return [each for each in given if isinstance(each, Answer)]

    answers = context.run.step_many(
        f"{CHAMPION}/probe",
        Answer,
        ask,
        doing=f"The champion answers {len(problems)} problems, which shows where it is weak",
        came=lambda given: headline_of(measure(suite.task, problems, given)),
    )
    weaknesses = context.run.step_many(
        f"{CHAMPION}/mine",
        Weakness,
        lambda: mine(
            problems,
            answers,
            false_discovery=settings.false_discovery,
            num_problems=design.settings.num_problems,
        ),
        came=lambda found: f"weak slices: {', '.join(weak_slices(found)) or 'none'}",
    )
    return weaknesses, frozenset(problem.id for problem in problems)


def draw_problems(
    suite: Suite, weaknesses: list[Weakness], num: int, entropy: int, exclude: frozenset[str]
) -> list[Problem]:
    """The problems that every model answers: of the mixture, and half of them of weak slices where there are.

    Each weak slice comes about equally often in its half. Raises DataError where there are too few.
    """
    weak = weak_slices(weaknesses)
    num_weak = num // 2 if weak else 0
    mixed = suite.draw(num - num_weak, split=MIXED, seed=entropy, exclude=exclude)
    if not weak:
        return mixed
    taken = {problem.id for problem in mixed}
    aimed = suite.draw(
        num_weak,
        split=WEAK,
        seed=entropy,
        exclude=exclude | taken,
        weights={name: float(name in weak) for name in suite.slices},
    )
    # A finite suite may have fewer: it then gives others, or some once more.
    return [*mixed, *(each for each in aimed if each.slice in weak and each.id not in taken)]
