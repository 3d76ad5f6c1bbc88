"""Error-driven improvement: find where the model is weak, make problems like these, learn what is right.

A round measures its parent on fresh problems and mines its weaknesses. Half of the problems that it then
samples are aimed at them: drawn by slice, or written by the model itself and labelled by the task. Answers
are verified, failures may be revised by the model, and what passes the filters is learnt (SFT). Where a task
has passages in place of problems, `loops/passages.py` makes the round.

Every way to choose samples as much as the others and can be held to the same number of learnt tokens, so that
aiming can be compared with drawing at random.
"""

import math
from collections.abc import Iterator, Sequence

from configs.load import ConfigError
from configs.loops import ErrorDriven
from engine.curate.rows import gold_example
from engine.curate.verified import passed
from engine.measure.evaluate import measure
from engine.measure.pass_rate import pass_rates
from engine.models.identity import Model
from engine.preflight.workload import NONE, Lengths, Range, Work, exactly
from engine.records import Panel, TrainingRow, Weakness
from engine.report.figures import headline_of
from engine.sample.protocol import Sampling
from engine.tasks.suite import Suite, Task
from loops.aim import Aim, ids_of, with_clusters
from loops.context import Context
from loops.curation import Curation
from loops.loop import Proposal
from loops.passages import from_passages
from loops.revision import revised
from loops.weak import MOST_FRESH, weak_in

EXAMS = ("verdicts", "likelihood")
_ONLY_ANSWERS = ("pass_rate", "placebo")
"""Ways to choose that passages do not have: they are neither sampled nor labelled."""


def require(settings: ErrorDriven, task: Task) -> None:
    """Refuse settings that `task` cannot serve. Raises ConfigError."""
    if task.exam == "likelihood":
        if settings.choose in _ONLY_ANSWERS:
            raise ConfigError(
                f"loop.choose={settings.choose} needs answers, but task {task.name} has passages: choose "
                "targeted, random, high_loss, diverse or longest"
            )
        if settings.critique:
            raise ConfigError(
                f"loop.critique revises answers, but task {task.name} has passages: leave it out"
            )
    elif settings.generate == "model" and task.vary is None:
        raise ConfigError(
            "loop.generate=model needs a task that finds the truth of problems that a model writes, and "
            f"task {task.name} does not: set loop.generate=task"
        )


def propose(
    context: Context, settings: ErrorDriven, parent: Model, number: int, seen: frozenset[str]
) -> Proposal:
    """Verified replies or passages for `parent`. `seen` are the ids of problems that earlier rounds used."""
    aim = Aim(context=context, settings=settings, parent=parent, number=number, seen=seen)
    return from_passages(aim) if context.suite.task.exam == "likelihood" else _from_answers(aim)


def _from_answers(aim: Aim) -> Proposal:
    """Verified replies to problems of which half are aimed at what the model fails."""
    context, settings = aim.context, aim.settings
    run, task = context.run, context.suite.task
    probe = aim.probe()
    greedy = aim.answers(
        "probe",
        probe,
        Sampling(max_new_tokens=context.config.sampler.max_new_tokens),
        doing=f"Round {aim.number}: the model answers {len(probe)} problems, which shows where it is weak",
        came=lambda answers: headline_of(measure(task, probe, answers)),
    )
    in_slices, clusters = aim.sliced(probe)
    is_aimed = settings.choose == "targeted"
    weaknesses = run.step_many(
        aim.stage("mine"),
        Weakness,
        lambda: weak_in(settings, in_slices, greedy, num_problems=settings.num_problems if is_aimed else 0),
    )
    used = aim.seen | ids_of(probe)
    if settings.generate == "model":
        names = {weakness.slice for weakness in weaknesses}
        weak = ids_of(problem for problem in in_slices if problem.slice in names)
        aimed, stations = aim.varied(probe, greedy, weak, used)
    else:
        aimed, stations = aim.aimed(weaknesses, clusters, used)
    problems = [*aimed, *aim.rest(settings.num_problems - len(aimed), used, ids_of(aimed))]
    at_weak = f", {len(aimed)} of them aimed at what it fails" if is_aimed and aimed else ""
    answers = aim.answers(
        "sample",
        problems,
        aim.sampling(settings.samples),
        doing=f"It tries {len(problems)} new problems{at_weak}, {settings.samples} times each; every answer "
        "is checked",
    )
    candidates, found = passed(
        problems,
        answers,
        rates=pass_rates(problems, answers, settings.samples),
        most=settings.replies_per_problem,
        target=task.target,
    )
    panels: tuple[Panel, ...] = ()
    if settings.critique:
        mended, revisions, panels = revised(aim, settings.critique, problems, answers)
        candidates, found = [*candidates, *mended], [*found, *revisions]
    data = Curation(aim=aim, aimed=ids_of(aimed), probe=ids_of(probe)).learnt(candidates, [*stations, *found])
    proposal = Proposal(
        data=data,
        probe=measure(task, in_slices, greedy),
        weaknesses=tuple(weaknesses),
        seen=used | ids_of(problems),
        panels=panels,
        written=tuple(each.text for each in aimed) if settings.generate == "model" else (),
    )
    return with_clusters(proposal, clusters)


def work(settings: ErrorDriven, lengths: Lengths) -> Sequence[Work]:
    """The round from no text worth learning to the most that there can be."""
    num = settings.num_problems
    probe = lengths.asked("probe", exactly(settings.probe.num_problems), swaps=Range(0, 1))
    closing = lengths.asked("closing", Range(0, MOST_FRESH), models=2, swaps=Range(0, 2))
    if not lengths.answer.high:
        score = lengths.asked("score", exactly(num), swaps=NONE)
        written = [_writing(settings, lengths, num)] if settings.generate == "model" else []
        after = lengths.asked("probe-after", Range(0, settings.probe.num_problems), swaps=NONE)
        return [probe, score, *written, *_learning(settings, lengths, num), closing, after]
    written = [_writing(settings, lengths, num // 2)] if settings.generate == "model" else []
    most = num * min(settings.replies_per_problem, settings.samples)
    sampled = [lengths.asked("sample", exactly(num), samples=settings.samples, swaps=NONE)]
    if settings.critique:
        failures, ways = Range(0, settings.critique.num_failures), 1 + settings.critique.control
        sampled.append(lengths.asked("revise", failures, samples=ways, swaps=NONE))
        most += settings.critique.num_failures
    return [probe, *written, *sampled, *_learning(settings, lengths, most), closing]


def _writing(settings: ErrorDriven, lengths: Lengths, num: int) -> Work:
    """About `num` texts that the model writes, each as long as what it is made from."""
    sources = exactly(math.ceil(num / settings.variations))
    return Work(
        stage="write",
        requests=exactly(num),
        prompt_tokens=sources.times(lengths.prompt),
        sampled_tokens=exactly(num).times(lengths.prompt),
    )


def _learning(settings: ErrorDriven, lengths: Lengths, most: int) -> Iterator[Work]:
    """The training on `most` rows, or on what the budget holds of them, after what scores them."""
    if settings.needs_losses:
        read = Range(0, most).times(lengths.prompt.plus(lengths.answer))
        yield Work(stage="loss", requests=Range(0, most), prompt_tokens=read)
    if settings.learnt_tokens is not None:
        learnt = lengths.answer if lengths.answer.high else lengths.prompt
        most = min(most, math.ceil(settings.learnt_tokens / max(1.0, learnt.low)))
    yield lengths.learnt("train", "loop.train", settings.train, Range(0, most))


def example(settings: ErrorDriven, suite: Suite, system: str) -> TrainingRow:
    """The last turn of a gold answer, or a passage, as the round would learn it."""
    return gold_example(suite, system)
