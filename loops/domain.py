"""Domain: a user's own examples are learnt, then their preferences, and what is added later beside the old.

A round learns examples by SFT or pairs by DPO, as the schedule says: those that its parent has not learnt,
and where there are some, a replay of what it has. Pairs can also be of the parent's own replies to questions
of the training set, ranked by the scorer or a judge: semi-online DPO (Lanchantin et al. 2025, arXiv
2506.21495).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from configs.load import ConfigError
from configs.loops import Domain, Learns, OakDpo, Online
from configs.tasks import DomainTask
from engine.corpus.quality import score_of
from engine.curate.preferences import build
from engine.curate.rows import row_of
from engine.measure.evaluate import answer
from engine.models.identity import Model
from engine.preflight.workload import NONE, Lengths, Range, Work
from engine.records import (
    Answer,
    Duel,
    Funnel,
    Problem,
    Station,
    Status,
    TrainingRow,
    TrainingSet,
    Turn,
)
from engine.sample.protocol import Sampling
from engine.tasks import domain
from engine.tasks.domain import CHATS, EXAMPLES, PAIRS, examples_of
from engine.tasks.examples import Example
from engine.tasks.fixed import Fixed
from engine.tasks.suite import Suite, Task
from engine.terminal import counted
from loops.context import Context
from loops.learnt import STAGE, learnt_by
from loops.loop import Proposal
from loops.spent import Kept

EXAMS = ("verdicts", "preference")
_SLICES: Mapping[Learns, tuple[str, ...]] = {"sft": (EXAMPLES, CHATS), "dpo": (PAIRS,)}


def require(settings: Domain, task: Task) -> None:
    """Refuse a task whose examples are not curated ones. Raises ConfigError."""
    if task.name != domain.NAME:
        raise ConfigError(
            f"loop domain learns what `ratchet curate` has divided, and task {task.name} is not that: set "
            f"task.name={domain.NAME}"
        )


def propose(context: Context, settings: Domain, parent: Model, number: int, seen: frozenset[str]) -> Proposal:
    """Examples or pairs that `parent` has not learnt, with a replay of what it has learnt before."""
    lesson = _Lesson(context=context, settings=settings, parent=parent, number=number)
    data = context.run.step(
        context.stage(number, STAGE),
        TrainingSet,
        lesson.rows,
        doing=f"Round {number}: what it is to learn of the {' and '.join(_SLICES[lesson.kind])}",
        came=_came,
    )
    return Proposal(
        data=data if data.rows else None,
        train=f"loop.{lesson.kind}",
        seen=seen | {row.problem_id for row in data.rows},
    )


@dataclass(frozen=True, kw_only=True)
class _Lesson:
    """What one round teaches its parent."""

    context: Context
    settings: Domain
    parent: Model
    number: int

    @property
    def kind(self) -> Learns:
        return self.settings.kind_of(self.number)

    @property
    def _suite(self) -> Kept:
        assert isinstance(self.context.suite, Kept), "examples are finite"
        return self.context.suite

    def rows(self) -> TrainingSet:
        """The rows of the round, and the stations that they come from."""
        context, settings = self.context, self.settings
        assert isinstance(context.config.task, DomainTask), "see `require`"
        known = examples_of(context.config.task)
        # A trial of an experiment is a run within the experiment's.
        run, home = context.run.path, context.run.home
        under_way = run.relative_to(home / "runs").parts[0]
        learnt = learnt_by(home, context.config.line, self.parent.id, self.kind, under_way)
        every = [record.problem for record in self._suite.records("train")]
        wanted = [problem for problem in every if problem.slice in _SLICES[self.kind]]
        fresh = self._in_order([each for each in wanted if each.id not in learnt], known)
        chosen = self._kept(fresh[: settings.num_examples], "learn")
        num_old = round(len(chosen) * settings.replay / (1 - settings.replay))
        old = [each for each in wanted if each.id in learnt]
        replayed = self._some(old, num_old, "replay")
        new, again = ([*self._as_rows(each, known)] for each in (chosen, replayed))
        stations = [
            Station(name="new", num_in=len(fresh), num_out=len(new), why="its parent has not learnt them"),
            Station(name="replayed", num_in=len(old), num_out=len(again), why="its parent has learnt them"),
        ]
        own: Sequence[TrainingRow] = ()
        if self.kind == "dpo" and settings.online:
            asked = [problem for problem in every if problem.slice == EXAMPLES]
            asked = self._kept(self._some(asked, settings.online.num_problems, "online"), "online")
            own = self._own_pairs(settings.online, asked) if asked else ()
            why = "questions that its parent answered, and pairs of its replies"
            stations.append(Station(name="own replies", num_in=len(asked), num_out=len(own), why=why))
        # A budget takes the first rows, and what the parent says itself is asked for expressly.
        return TrainingSet.of([*own, *new, *again], funnel=Funnel(stations=tuple(stations)))

    def _in_order(self, problems: Sequence[Problem], known: Mapping[str, Sequence[Example]]) -> list[Problem]:
        """Problems in the order in which they are taken."""
        choose, order = self.settings.choose, self._some(problems, len(problems), "learn")
        if choose == "longest":
            order.sort(key=lambda each: -max(len(one.chosen.split()) for one in known[each.id]))
        elif choose != "random":
            order.sort(key=lambda each: -score_of(known[each.id][0]))
        if choose == "worst":
            order.reverse()
        if choose == "middle":
            place, middle = {each.id: number for number, each in enumerate(order)}, (len(order) - 1) / 2
            order.sort(key=lambda each: abs(place[each.id] - middle))
        return order

    def _some(self, problems: Sequence[Problem], num: int, what: str) -> list[Problem]:
        """Up to `num` problems, which the seed decides, in an order that it decides too."""
        rng = Random(f"{what}/{self.context.config.seed}/{self.number}")
        return rng.sample(list(problems), min(num, len(problems)))

    def _kept(self, problems: list[Problem], what: str) -> list[Problem]:
        """Keep with the line what is used of the training set before it is used, as by a draw of it alone."""
        used = {problem.id for problem in problems}
        others = {record.problem.id for record in self._suite.records("train")} - used
        seed = self.context.config.seed
        self._suite.draw(len(problems), split=f"{what}-{self.number}", seed=seed, exclude=others)
        return problems

    def _as_rows(
        self, problems: Sequence[Problem], known: Mapping[str, Sequence[Example]]
    ) -> Iterator[TrainingRow]:
        for problem in problems:
            for example in known[problem.id]:
                yield TrainingRow(
                    problem_id=problem.id,
                    chat=_with_system(example.chat, self.context.bench.system),
                    chosen=example.chosen,
                    rejected=example.rejected,
                    story=example.story,
                    cluster=example.cluster,
                )

    def _own_pairs(self, online: Online, asked: Sequence[Problem]) -> Sequence[TrainingRow]:
        """Pairs of the parent's replies: a judge ranks the first two to a question, a scorer all of them."""
        context, judge, system = self.context, self.context.judge, self.context.bench.system
        samples = 2 if judge else online.samples
        sampling = Sampling(
            samples=samples,
            temperature=online.temperature,
            top_p=online.top_p,
            seed=context.config.seed + self.number,
            max_new_tokens=context.config.sampler.max_new_tokens,
        )
        answers = context.run.step_many(
            context.stage(self.number, "own-replies"),
            Answer,
            lambda: answer(context.bench, self.parent.path, asked, sampling),
            doing=f"It replies to {counted(len(asked), 'question')} {samples} times each",
        )
        if judge is None:
            ranking = OakDpo(samples=samples, train=self.settings.dpo)
            target = context.suite.task.target
            return build(
                asked, answers, config=ranking, system=system, seen_by_judges=frozenset(), target=target
            ).rows
        duels = [
            Duel(problem=problem, champion=one, challenger=other)
            for problem, one, other in zip(asked, answers[::2], answers[1::2], strict=True)
        ]
        judged = context.run.step_many(
            context.stage(self.number, "own-replies-judged"),
            Duel,
            partial(judge.settled, duels),
            doing=f"A judge compares {counted(len(duels), 'pair')} of them, in both orders",
        )
        return [*_preferred(judged, system)]


def _preferred(duels: Sequence[Duel], system: str) -> Iterator[TrainingRow]:
    """The better reply before the worse one, where a judge prefers one."""
    for duel in duels:
        one, other = duel.champion, duel.challenger
        assert isinstance(one, Answer) and isinstance(other, Answer), "replies were compared"
        for better, worse in ((one, other), (other, one)):
            if better.verdict.status is Status.PASS and worse.verdict.status is Status.FAIL:
                rejected = worse.attempt.text
                yield row_of(duel.problem, better.attempt.replies, 0, system=system, rejected=rejected)


def _with_system(chat: tuple[Turn, ...], system: str) -> tuple[Turn, ...]:
    """The chat as models are asked: with the campaign's system message where it has none of its own."""
    if not system or chat[0].role == "system":
        return chat
    return (Turn(role="system", text=system), *chat)


def _came(data: TrainingSet) -> str:
    assert data.funnel is not None, "see `_Lesson.rows`"
    parts = [f"{each.num_out} {each.name}" for each in data.funnel.stations]
    return f"{counted(len(data.rows), 'row')}: {', '.join(parts)}"


def work(settings: Domain, lengths: Lengths) -> Sequence[Work]:
    """Both trainings, of which a round does one, with all rows that it may have; own replies before."""
    examples, own = settings.num_examples / (1 - settings.replay), 0
    stages: list[Work] = []
    if (online := settings.online) and "dpo" in settings.schedule:
        own = online.num_problems * (online.samples - 1)
        asked = Range(0, online.num_problems)
        stages.append(lengths.asked("own replies", asked, samples=online.samples, swaps=NONE))
    for key, train in settings.trains.items():
        most = examples + (own if train.TEXTS_A_ROW > 1 else 0)
        stages.append(lengths.learnt(f"train, {key}", key, train, Range(0, most)))
    return stages


def example(settings: Domain, suite: Suite, system: str) -> TrainingRow:
    """A gold reply as it is learnt; a stand-in is what pairs prefer it to."""
    assert isinstance(suite, Fixed), "examples are finite"
    problem = next(record.problem for record in suite.records("train") if record.problem.gold)
    return row_of(problem, problem.gold, 0, system=system, rejected="I do not know.")
