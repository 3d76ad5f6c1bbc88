"""Sleep: facts are told by day and learnt by night, and nothing that was known is to be lost.

A round is a day and a night. By day, statements are taken from talks, judged, and stored in memory with
where they were said. By night, what the model has not learnt yet comes back in many wordings (dreams), among
old facts that are replayed, and is learnt by SFT. The gate judges the night: the model must know more of the
day's facts, in wordings never trained on, and lose nothing that the task guards. What a refused night was to
teach is taught again in the next one.

Source: SleepTrain, an experiment of this kind without a gate; complementary learning systems, McClelland,
McNaughton and O'Reilly 1995.
"""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from configs.load import ConfigError
from configs.loops import Sleep
from engine.curate.dreams import num_variations
from engine.curate.mixed import SEGMENT
from engine.curate.rows import gold_example
from engine.embeddings import embedder
from engine.measure.evaluate import answer, measure
from engine.models.identity import Model
from engine.models.prompts import text_ids, tokenizer_of
from engine.preflight.workload import NONE, Lengths, Range, Work, exactly
from engine.records import Answer, Likelihood, Memory, Panel, Problem, TrainingRow
from engine.sample.protocol import Sampling
from engine.tasks import people
from engine.tasks.suite import Suite, Task
from loops import mornings
from loops.context import Context
from loops.days import RIVAL, Day, recall_of
from loops.loop import Proposal
from loops.nights import NightAfter

_TALKS, _TURNS = 3, 100
"""Extended talks after the last night, and their turns where a prompt holds as many."""
_TEMPLATE = 16
"""Tokens that a turn takes besides its texts, at the most."""


def require(settings: Sleep, task: Task) -> None:
    """Refuse a task in which nothing is told. Raises ConfigError."""
    if task.name != people.NAME:
        raise ConfigError(
            f"loop sleep learns what is told in talks, and task {task.name} has none: set "
            f"task.name={people.NAME}"
        )


def propose(context: Context, settings: Sleep, parent: Model, number: int, seen: frozenset[str]) -> Proposal:
    """What the night is to teach `parent`. `seen` are the ids of problems that earlier rounds used."""
    day = Day(context=context, settings=settings, parent=parent, number=number)
    judgements, memories = day.remembered(day.statements())
    asked = day.asked()
    answers = day.probe(asked)
    some, read = day.rival(asked, memories)
    night = NightAfter(day=day, memories=memories, recalled=recall_of(memories, asked, answers))
    chosen = night.chosen()
    data = night.dreamt() if chosen.learnt else None
    probes = probed([*day.before, day])
    problems = [each.problem for each in asked]
    # The probe teaches nothing, and the selection of checkpoints may ask in the few wordings that it has.
    learnt = {row.problem_id for row in data.rows} if data else set()
    return Proposal(
        data=data,
        probe=measure(context.suite.task, problems, answers),
        seen=seen | learnt,
        panels=(
            *mornings.decisions(judgements),
            *mornings.recall(probes),
            mornings.rivals(probes[-1], some, read),
        ),
        lived=night.lived(),
    )


def sealed(
    context: Context,
    settings: Sleep,
    problems: Sequence[Problem],
    first: Sequence[Answer | Likelihood],
    last: Sequence[Answer | Likelihood],
) -> list[Panel]:
    """The tests by kind, with the untrained base and the rival beside the champions, recall after the last
    night, and long talks turn by turn."""
    run, base, length = context.run, Model.of(context.base), context.config.sampler.max_new_tokens
    greedy = Sampling(max_new_tokens=length)
    begun, ended = ([each for each in side if isinstance(each, Answer)] for side in (first, last))
    untrained = run.step_many(
        "sealed-base", Answer, partial(answer, context.judges, base.path, problems, greedy)
    )
    rounds = range(1, context.config.stop.rounds + 1)
    days = [number for number in rounds if run.is_done(context.stage(number, "memory"))]
    models = {"untrained base": untrained, "first champion": begun}
    champion = context.stored(ended[0].attempt.model_id)
    if not days:
        return mornings.tests(problems, models | {"last champion": ended}, embedder())
    day = Day(context=context, settings=settings, parent=champion, number=days[-1])
    memories = run.read_many(day.stage("memory"), Memory)
    holds = _prompt(context, champion)
    informed = [told if holds(told := day.with_memory(each, memories)) else each for each in problems]
    models["nothing learnt, memory in the prompt"] = run.step_many(
        "sealed-retrieval", Answer, partial(answer, context.judges, day.reader.path, informed, greedy)
    )
    models["last champion"] = ended
    asked = day.asked()
    recalled = run.step_many(
        "sealed-probe",
        Answer,
        partial(answer, context.bench, champion.path, [each.problem for each in asked], greedy),
    )
    after = mornings.Probe("after the last night", day.number_of_day + 1, asked, recalled)
    panels = mornings.tests(problems, models, embedder())
    panels += mornings.recall([*probed([*day.before, day]), after])
    if talks := extended_talks(day):
        panels += mornings.over_turns(
            talks,
            {
                name: run.step_many(
                    f"talks-{model.id}", Answer, partial(answer, context.judges, model.path, talks, greedy)
                )
                for name, model in (("untrained base", base), ("last champion", champion))
            },
        )
    return panels


def probed(days: Sequence[Day]) -> list[mornings.Probe]:
    """What the models of some nights recalled before them, as far as they were asked."""
    return [
        mornings.Probe(f"before night {day.number}", day.number_of_day, day.asked(), given)
        for day in days
        if (given := day.context.run.read_many(day.stage("probe"), Answer))
    ]


def extended_talks(day: Day) -> list[Problem]:
    """Talks about all that was told up to a day, of as many turns as a prompt of its parent holds with the
    longest replies; none where it holds no turn."""
    context = day.context
    known, holds = day.suite.known(day.number_of_day), _prompt(context, day.parent)

    def talk(number: int, turns: int) -> Problem:
        rng = Random(f"talk/{context.config.seed}/{number}")
        facts = rng.choices(known, k=turns)
        return day.suite.wordings.ask("talk", facts, part="sealed", rng=rng, others=known)

    for turns in range(_TURNS, 0, -1):
        talks = [talk(number, turns) for number in range(_TALKS)]
        if all(map(holds, talks)):
            return talks
    return []


def _prompt(context: Context, model: Model) -> Callable[[Problem], bool]:
    """Whether a prompt holds a problem's turns with the longest replies."""
    sampler, tokenizer = context.config.sampler, tokenizer_of(model.path)

    def size(text: str) -> int:
        return len(text_ids(tokenizer, text)) + _TEMPLATE

    def holds(problem: Problem) -> bool:
        turns = sum(size(turn) + sampler.max_new_tokens for turn in problem.turns)
        return size(context.bench.system) + turns <= sampler.max_model_len

    return holds


def work(settings: Sleep, lengths: Lengths) -> Sequence[Work]:
    """What a round asks and learns: at the least on the first night, at the most where all nights before the
    last one were refused."""
    told, dreaming = lengths.told, settings.dreams
    new = Range(told.low, told.high)
    rival = Range(min(RIVAL, told.low), min(RIVAL, told.high))
    each = Range(num_variations(dreaming.variations, known=dreaming.adaptive), dreaming.variations)
    replies = new.times(each).times(Range(1, (1 + dreaming.unknown) / (1 - settings.replay.share)))
    stages = [
        lengths.asked("probe", told, swaps=Range(0, 1)),
        lengths.asked("retrieval", rival, swaps=exactly(1)),
    ]
    if settings.extract != "rule":
        # About as many turns of a talk as facts are told in it.
        stages.insert(0, lengths.asked("extract", new, swaps=NONE))
    if dreaming.imagined:
        stages.append(lengths.asked("imagined", new, samples=2 * dreaming.imagined, swaps=exactly(1)))
    if settings.targets == "mixsd":
        read = replies.times(lengths.prompt.plus(lengths.answer))
        segments = Range(1, max(1.0, lengths.answer.high / SEGMENT))
        stages.append(
            Work(
                stage="mixed",
                requests=replies.times(segments),
                prompt_tokens=read.times(segments),
                sampled_tokens=replies.times(lengths.answer),
            )
        )
    return [*stages, lengths.learnt("train", "loop.train", settings.train, Range(0, replies.high))]


def example(settings: Sleep, suite: Suite, system: str) -> TrainingRow:
    """The last turn of a gold answer, as the round would learn it."""
    return gold_example(suite, system)
