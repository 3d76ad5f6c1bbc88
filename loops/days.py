"""One day of the loop `sleep`: what is said and what is kept of it, and what the model recalls."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from random import Random
from typing import NamedTuple

from configs.loops import Sleep
from engine.curate.mixed import after
from engine.curate.replay import held
from engine.measure.evaluate import answer, measure
from engine.memory.book import memory_id, person_key
from engine.memory.extract import by_model, by_rule, in_order
from engine.memory.judge import judge
from engine.models.identity import Model
from engine.people.values import places_of, same
from engine.records import Answer, Disposal, Fact, Judgement, Memory, Problem, Statement, Status
from engine.report.figures import headline_of
from engine.sample.protocol import Sampling
from engine.tasks.people import PeopleSuite
from loops.context import Context

RIVAL = 100
"""Most questions that are also asked with the facts in the prompt."""
_READ = 12
"""Most facts in such a prompt."""
_PLAIN = 5
"""Importance of what nobody judged."""


class Asked(NamedTuple):
    """A fact that was told, the day on which it was, and the question that the probe asks about it."""

    fact: Fact
    day: int
    problem: Problem


@dataclass(frozen=True, kw_only=True)
class Day:
    """The day of a round; what it does is stages of the run, or follows from them."""

    context: Context
    settings: Sleep
    parent: Model
    number: int
    """The round's number."""

    @property
    def number_of_day(self) -> int:
        """The days of the line before this campaign count."""
        return self.context.day(self.number)

    @cached_property
    def suite(self) -> PeopleSuite:
        suite = self.context.suite_on(self.number)
        assert isinstance(suite, PeopleSuite), "`require` refuses other tasks"
        return suite

    @property
    def before(self) -> Iterator["Day"]:
        """The earlier rounds of the run, the first one first; their parents are not known any more."""
        for number in range(1, self.number):
            yield Day(context=self.context, settings=self.settings, parent=self.parent, number=number)

    def stage(self, name: str) -> str:
        return self.context.stage(self.number, name)

    def statements(self) -> list[Statement]:
        """What is said on the day, as it is found in the talks."""
        talks = self.suite.dialogues(self.number_of_day)

        def find() -> list[Statement]:
            found: list[list[Statement]] = []
            if self.settings.extract != "model":
                found.append(by_rule(talks, self.suite.wordings))
            if self.settings.extract != "rule":
                sampler = self.context.bench.sampler
                found.append(by_model(sampler, self.parent.path, talks, self.suite.wordings))
            return in_order(talks, *found)

        return self.context.run.step_many(
            self.stage("statements"),
            Statement,
            find,
            doing=f"Day {self.number_of_day}: {len(talks)} talks, from which facts are taken",
            came=lambda found: f"{len(found)} statements",
        )

    def remembered(self, statements: Sequence[Statement]) -> tuple[list[Judgement], list[Memory]]:
        """The decision about each statement, and memory at the end of the day."""
        run = self.context.run
        before = run.read_many(self.context.stage(self.number - 1, "memory"), Memory)
        known = before if self.number > 1 else list(self.context.begun.lived.memories)
        decided = cache(lambda: self._decided(statements, known))
        judgements = run.step_many(
            self.stage("judgements"),
            Judgement,
            lambda: decided()[0],
            doing=f"{len(statements)} statements are judged against {len(held(known))} memories",
            came=_counted,
        )
        return judgements, run.step_many(self.stage("memory"), Memory, lambda: decided()[1])

    def _decided(
        self, statements: Sequence[Statement], known: Sequence[Memory]
    ) -> tuple[list[Judgement], list[Memory]]:
        run = self.context.run
        if not self.settings.hippocampus:
            return stored(statements, known, self.number_of_day)
        days = range(self.number_of_day - self.number + 1, self.number_of_day + 1)
        aside = [each for day in self.before for each in run.read_many(day.stage("judgements"), Judgement)]
        return judge(
            statements,
            known,
            self.suite.wordings.attributes,
            dialogues=[talk for day in days for talk in self.suite.dialogues(day)],
            day=self.number_of_day,
            # What was kept out because of a memory comes back once that memory is corrected.
            aside=aside,
        )

    def asked(self) -> list[Asked]:
        """A question about every fact that was told so far, in the wordings of selection."""
        told: dict[tuple[str, str], int] = {}
        for day in range(1, self.number_of_day + 1):
            for fact in self.suite.facts(day):
                told[fact.subject, fact.attribute] = day
        return [
            Asked(fact, told.get((fact.subject, fact.attribute), self.number_of_day), self._question(fact))
            for fact in self.suite.known(self.number_of_day)
        ]

    def _question(self, fact: Fact) -> Problem:
        seed = f"probe/{self.context.config.seed}/{fact.subject}/{fact.attribute}"
        return self.suite.wordings.ask("single", [fact], part="select", rng=Random(seed))

    def probe(self, asked: Sequence[Asked]) -> list[Answer]:
        """What the parent recalls of everything that was told, before the night."""
        problems = [each.problem for each in asked]
        return self._answered(
            "probe",
            self.parent,
            problems,
            f"Night {self.number}: the model is asked for all {len(problems)} facts that were told",
        )

    def rival(self, asked: Sequence[Asked], memories: Sequence[Memory]) -> tuple[list[Asked], list[Answer]]:
        """Some of the same questions, put to the line's first champion with the facts of memory before it.

        That needs no training, and is what a night has to beat.
        """
        rng = Random(f"rival/{self.context.config.seed}/{self.number}")
        some = rng.sample(list(asked), min(RIVAL, len(asked)))
        problems = [self.with_memory(each.problem, memories) for each in some]
        doing = f"The first champion answers {len(problems)} of them with the facts in its prompt"
        return some, self._answered("retrieval", self.reader, problems, doing)

    @property
    def reader(self) -> Model:
        """The line's first champion, which never learnt a fact."""
        frozen = self.context.registry.line(self.context.config.line).frozen
        return self.context.stored(frozen) if frozen else self.parent

    def with_memory(self, problem: Problem, memories: Sequence[Memory]) -> Problem:
        """The problem for a model that may read memory: before each turn stand the facts that it is about."""
        answer = self.suite.wordings.answer
        turns = [after([answer(fact) for fact in found_for(turn, memories)], turn) for turn in problem.turns]
        return replace(problem, id=f"{problem.id}-informed", turns=tuple(turns))

    def _answered(self, stage: str, model: Model, problems: Sequence[Problem], doing: str) -> list[Answer]:
        context = self.context
        greedy = Sampling(max_new_tokens=context.config.sampler.max_new_tokens)
        return context.run.step_many(
            self.stage(stage),
            Answer,
            lambda: answer(context.bench, model.path, problems, greedy),
            doing=doing,
            came=lambda answers: headline_of(measure(context.suite.task, problems, answers)),
        )


def stored(
    statements: Sequence[Statement], known: Sequence[Memory], day: int
) -> tuple[list[Judgement], list[Memory]]:
    """What becomes of statements without a hippocampus: each is stored, also beside what it contradicts."""
    memories = {memory.id: memory for memory in known}
    judgements = []
    for said in statements:
        memory = Memory(
            id=memory_id(said.fact),
            fact=said.fact,
            importance=_PLAIN,
            day=day,
            dialogue=said.dialogue,
            turn=said.turn,
        )
        memories.setdefault(memory.id, memory)
        judgements.append(
            Judgement(
                statement=said,
                disposal=Disposal.STORE,
                importance=_PLAIN,
                reason="Nothing is judged: the hippocampus is off.",
                memory=memory.id,
            )
        )
    return judgements, list(memories.values())


def recall_of(
    memories: Sequence[Memory], asked: Sequence[Asked], answers: Sequence[Answer]
) -> dict[str, bool]:
    """Whether the parent recalls each memory that the probe asked about, by id."""
    passed = {
        (person_key(each.fact.subject), each.fact.attribute): (each.fact.value, is_right(given))
        for each, given in zip(asked, answers, strict=True)
    }
    found = {}
    for memory in memories:
        value, right = passed.get((person_key(memory.fact.subject), memory.fact.attribute), ("", False))
        if value and same(value, memory.fact.value):
            found[memory.id] = right
    return found


def is_right(given: Answer) -> bool:
    return given.verdict.status is Status.PASS


def found_for(question: str, memories: Sequence[Memory]) -> list[Fact]:
    """The facts of memory about whoever a question names: what a search by name finds."""
    names = {memory.fact.subject for memory in memories}
    named = {name for name in names if places_of(name, question)}
    return [memory.fact for memory in held(memories) if memory.fact.subject in named][:_READ]


def _counted(judgements: Sequence[Judgement]) -> str:
    nums = {each: sum(one.disposal is each for one in judgements) for each in Disposal}
    return ", ".join(f"{num} {each.value}" for each, num in nums.items() if num)
