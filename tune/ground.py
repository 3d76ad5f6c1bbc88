"""What all trials of an experiment stand on: one champion, where it is weak, and the problems that all
answer.

Everything here happens once, before the first trial, and is kept in stages of the experiment's run.
"""

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import NamedTuple

from configs.experiment import Design
from engine.disk.steps import Run
from engine.errors import Lost
from engine.gate.exams import exam_of
from engine.measure.clusters import Clusters
from engine.models.identity import Model
from engine.plan.plan import Plan
from engine.records import Answer, Challenger, Likelihood, Problem, Start, TrainFailure, Weakness
from engine.report.figures import headline_of
from engine.sample.protocol import Sampling
from engine.tasks.suite import Suite
from engine.terminal import counted
from loops.context import Context
from loops.training import train_challenger
from loops.warm_start import gold_answers
from loops.weak import draw_found, mining_of, sliced, weak_in
from tune.arms import MEASURE, PROBLEMS, ExperimentRun, ask_sentinels, read_model, weak_slices
from tune.workshop import Workshop

log = logging.getLogger(__name__)
GROUND, CHAMPION = "ground", "champion"
_ROUND = 1
"""The round of the champion's line that every trial plays."""
MIXED_SPLIT, WEAK_SPLIT = "selection", "selection-weak"
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
    """Those problems."""
    num_found: int = 0
    """Slices that were found among them; 0 where the slices are the task's own."""


class Mined(NamedTuple):
    """Where the champion is weak."""

    weaknesses: list[Weakness]
    probed: frozenset[str]
    """Ids of the problems that showed it."""
    clusters: Clusters | None
    """What the slices are, where they were found among these problems."""


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
            mined = _mined(context, champion, design, seen)
            settings, exclude = design.settings, seen | mined.probed
            run.step_many(
                PROBLEMS,
                Problem,
                lambda: draw_problems(
                    context.suite_on(_ROUND), mined, settings.num_problems, entropy, exclude, settings.about
                ),
            )
            read_model(workshop, run, f"{CHAMPION}/{MEASURE}", champion)
            ask_sentinels(workshop, run, champion)
        return Ground(
            champion=champion.id,
            trained=trained,
            weaknesses=tuple(mined.weaknesses),
            num_probed=len(mined.probed),
            num_found=len(mined.clusters.found) if mined.clusters else 0,
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


def _mined(context: Context, champion: Model, design: Design, seen: frozenset[str]) -> Mined:
    """Where the champion is weak, on problems that nothing else uses; nothing where nothing is to be mined.

    Which slices there are, and from which perplexity a passage is weak, are the campaign's to say.
    """
    config, suite, run, probe = context.config, context.suite_on(_ROUND), context.run, design.settings.probe
    if probe is None:
        return Mined([], frozenset(), None)
    settings = mining_of(config).model_copy(update={"probe": probe})
    exam = exam_of(suite.task)
    problems = suite.draw(settings.probe.num_problems, split="probe", seed=config.seed, exclude=seen)
    greedy = Sampling(max_new_tokens=config.sampler.max_new_tokens)
    given: list[Answer | Likelihood] = run.step_many(
        f"{CHAMPION}/probe",
        Answer | Likelihood,  # type: ignore[arg-type]
        lambda: exam.ask(context.judges, champion, problems, greedy),
        doing=f"The champion {'answers' if exam.samples else 'reads'} "
        f"{counted(len(problems), 'problem' if exam.samples else 'passage')}, which shows where it is weak",
        came=lambda given: headline_of(exam.measure(suite.task, problems, given)),
    )
    in_slices, clusters = sliced(run, f"{CHAMPION}/clusters", settings, suite, problems, config.seed)
    weaknesses = run.step_many(
        f"{CHAMPION}/mine",
        Weakness,
        lambda: weak_in(settings, in_slices, given, num_problems=design.settings.num_problems),
        came=lambda found: f"weak slices: {', '.join(weak_slices(found)) or 'none'}",
    )
    return Mined(weaknesses, frozenset(problem.id for problem in problems), clusters)


def draw_problems(
    suite: Suite, mined: Mined, num: int, entropy: int, exclude: frozenset[str], about: str | None = None
) -> list[Problem]:
    """The problems that every model answers: of the mixture, and half of them of weak slices where there are.

    Each weak slice comes about equally often in its half. Where the hypothesis is `about` a slice of the
    task, that half is of this one. Where slices were found, each problem has the one that it belongs to.
    Raises DataError where there are too few.
    """
    clusters = mined.clusters
    is_slice = about in suite.slices and clusters is None
    weak = (about,) if is_slice and about else weak_slices(mined.weaknesses)
    num_weak = num // 2 if weak else 0
    mixed = suite.draw(num - num_weak, split=MIXED_SPLIT, seed=entropy, exclude=exclude)
    taken = exclude | {problem.id for problem in mixed}
    if clusters is None:
        aimed = _of_slices(suite, weak, num_weak, entropy, taken)
    else:
        mixed = clusters.sliced(mixed)
        quotas = {name: (num_weak + place) // len(weak) for place, name in enumerate(weak)}
        aimed = []
        if weak:
            drawn = draw_found(suite, clusters, quotas, split=WEAK_SPLIT, seed=entropy, exclude=taken)
            aimed = [replace(problem, slice=name) for problem, name in drawn]
    # A finite suite may have fewer: it then gives others, or some once more.
    return [*mixed, *(each for each in aimed if each.slice in weak and each.id not in taken)]


def _of_slices(
    suite: Suite, names: Sequence[str], num: int, entropy: int, exclude: frozenset[str]
) -> list[Problem]:
    """Problems of some of the task's own slices."""
    if not names:
        return []
    weights = {name: float(name in names) for name in suite.slices}
    return suite.draw(num, split=WEAK_SPLIT, seed=entropy, exclude=exclude, weights=weights)
