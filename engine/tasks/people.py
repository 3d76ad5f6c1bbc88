"""Facts about people, told in talks day by day, and questions that only those can answer who remember them.

    task: {name: people}

What can be asked grows from day to day: `PeopleSuite.on_day`. `engine/people` invents the people, states the
facts and words the questions; the verifier `recall` judges. `people_files.py` reads a user's own people.
"""

import itertools
from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from functools import cached_property, partial
from random import Random
from types import MappingProxyType

from configs.tasks import AnyTask, GuardName, PeopleTask
from engine.people.dialogues import Said, talks
from engine.people.wordings import Part, Wordings
from engine.people.world import World
from engine.records import Dialogue, Fact, Problem, Status
from engine.tasks.people_guards import guards_on
from engine.tasks.people_questions import Material, Source, of_nothing_told
from engine.tasks.suite import DataError, Guard, Ratio, Share, Task
from engine.terminal import counted

NAME = "people"
SYSTEM = "Answer in one short sentence. If you do not know the answer, say so."
VERIFIERS = ("recall",)
FIGURES = (
    Share(
        key="passed",
        title="recalled",
        holds=lambda verdict: verdict.status is Status.PASS,
        note="Every reply gives the whole value, and none that is wrong.",
    ),
    Ratio(
        key="turns",
        title="replies right",
        parts=lambda verdict: (verdict.grade or 0.0, 1.0),
        note="Replies that are right, of dialogues of several turns too.",
    ),
)
_TODAY = ("gate", "pass-at-k", "carry", "select")
"""How splits begin that ask about the facts of the day; others ask about those of all days so far."""
_GATE = ("gate", "pass-at-k", "carry")
"""How splits begin that ask in the wordings of `gate`."""
_SELECT = ("select", "probe", "baseline", "shots", "example", "plan", "eval")
"""How splits begin that ask in those of `select`; any other ones learn, in those of `dream`."""
_AGAIN = ("plan", "shots", "example")
"""Splits that are samples, and may ask about a fact more than once."""
_MOST_IN_VAIN = 1000
_FURTHER_DAYS = 400
"""Days that a suite looks ahead while nothing was told yet."""


class Invented:
    """The invented world as a source."""

    last_day = None
    notes = ()

    def __init__(self, settings: PeopleTask) -> None:
        self.wordings = Wordings()
        self.world = World(settings.seed, settings.people_a_day, settings.facts_a_person)
        self.facts, self.known = self.world.facts, self.world.known
        self.corrections, self.strangers = self.world.corrections, self.world.strangers

    def dialogues(self, day: int) -> list[Dialogue]:
        """The talks of a day."""
        return [dialogue for dialogue, _ in self.labelled(day)]

    def labelled(self, day: int) -> list[tuple[Dialogue, list[Said]]]:
        """The talks of a day with what is stated in them."""
        return talks(self.world, self.wordings, day)


class PeopleSuite:
    """What can be asked at the end of a day; day 0 is before anything was told."""

    task: Task
    """Set by whoever opens the suite."""

    def __init__(
        self, source: Source, day: int = 0, margins: Mapping[GuardName, float] = MappingProxyType({})
    ) -> None:
        """`margins` are those of its guards that do not have the usual one, by name."""
        self.source, self.day, self.wordings = source, day, source.wordings
        self._margins = margins

    def on_day(self, day: int) -> "PeopleSuite":
        """The suite as it stands at the end of a day. Raises DataError for a day on which nothing is told."""
        last = self.source.last_day
        if last is not None and day > last:
            raise DataError(f"the dialogues of task {NAME} end with day {last}, but day {day} is asked for")
        suite = PeopleSuite(self.source, day, self._margins)
        suite.task = self.task
        return suite

    @property
    def last_day(self) -> int | None:
        """The last day on which anything is told; None where there is none."""
        return self.source.last_day

    @property
    def notes(self) -> tuple[str, ...]:
        """What of a user's files is not used, and why: a sentence each."""
        return self.source.notes

    @property
    def slices(self) -> list[str]:
        """The attributes that can be asked for."""
        return [_slice(key) for key in self.wordings.attributes]

    def dialogues(self, day: int) -> list[Dialogue]:
        """The talks of a day."""
        return self.source.dialogues(day)

    def facts(self, day: int) -> list[Fact]:
        """What was told on a day and is so far as anybody can know at its end, also what was corrected."""
        return self.source.facts(day)

    def known(self, day: int) -> list[Fact]:
        """What was told up to a day's end, each once, as it was told last."""
        return self.source.known(day)

    def strangers(self, num: int, rng: Random, *, part: Part = "gate") -> list[str]:
        """Names of people of whom nothing is ever told; no name is in two parts."""
        return self.source.strangers(num, rng, part=part)

    @cached_property
    def guards(self) -> tuple[Guard, ...]:
        """What a night must not cost, such as what was told on earlier days."""
        return guards_on(self.source, self.day, self._margins)

    def draw(
        self,
        num: int,
        *,
        split: str,
        seed: int,
        start: int = 0,
        exclude: Set[str] = frozenset(),
        weights: Mapping[str, float] | None = None,
        questions: int = 1,
    ) -> list[Problem]:
        """`num` problems, numbers `start` onwards of the sequence that (split, seed) names.

        ``gate``, ``pass-at-k``, ``carry…`` and ``select…`` ask one question about each fact of the day,
        ``sealed`` questions of every kind about all days so far, ``warm-start`` about people of whom nothing
        is told, any other split one question about each fact of all days so far. Before the first day they
        ask about facts of the days to come, but ``select…``, which chooses a warm start, asks as that does.
        No problem is in `exclude`; `weights` are of slices. Raises DataError where the facts do not suffice.
        """
        if questions > 1:
            raise DataError(f"task {NAME} asks one question a story: questions must be 1, got {questions}")
        if split == "warm-start" or (not self.day and split.startswith("select")):
            part: Part = "dream" if split == "warm-start" else "select"
            ask = partial(of_nothing_told, self.source, part)
            problems = self._made(ask, split, seed, start, num, exclude)
        elif split == "sealed":
            material = Material(self.source, self.source.known(self.day or 1))
            problems = self._made(material.of_every_kind, split, seed, start, num, exclude)
        else:
            problems = self._about_facts(num, split, seed, start, exclude, weights)
        return [replace(problem, split=split) for problem in problems]

    def _facts(self, split: str, num: int, weights: Mapping[str, float] | None) -> list[Fact]:
        """The facts that a split asks about."""
        if self.day:
            facts = self.source.facts(self.day) if split.startswith(_TODAY) else self.source.known(self.day)
        else:
            facts, last = [], self.source.last_day or _FURTHER_DAYS
            for day in range(1, last + 1):
                facts += self.source.facts(day)
                if len(facts) >= num:
                    break
        return [fact for fact in facts if weights is None or weights.get(_slice(fact.attribute), 0.0) > 0]

    def _about_facts(
        self,
        num: int,
        split: str,
        seed: int,
        start: int,
        exclude: Set[str],
        weights: Mapping[str, float] | None,
    ) -> list[Problem]:
        part: Part = "gate" if split.startswith(_GATE) else "select" if split.startswith(_SELECT) else "dream"
        facts = self._facts(split, start + num, weights)
        order = Random(f"{split}/{seed}").sample(facts, len(facts))
        taken = set(exclude)
        problems: list[Problem] = []
        for turn in range(self._most_turns(split, part, num, len(order))):
            for place, fact in enumerate(order):
                if len(problems) < start + num:
                    rng = Random(f"{split}/{seed}/{turn}/{place}")
                    problem = self._single(fact, part, rng, taken if split not in _AGAIN else exclude)
                    if problem is not None:
                        taken.add(problem.id)
                        problems.append(problem)
        if len(problems) < start + num:
            raise DataError(self._too_few(split, start + num, len(problems)))
        return problems[start:]

    def _most_turns(self, split: str, part: Part, num: int, facts: int) -> int:
        """How often a draw may ask about one fact."""
        if split in _AGAIN:
            return -(-num // max(1, facts))
        if part != "dream":
            return 1
        return max(self.wordings.num("single", key, part) for key in self.wordings.attributes)

    def _single(self, fact: Fact, part: Part, rng: Random, taken: Set[str]) -> Problem | None:
        """A question about a fact in a wording that was not used; None where all were."""
        for _ in range(10 * self.wordings.num("single", fact.attribute, part)):
            problem = self.wordings.ask("single", [fact], part=part, rng=rng)
            if problem.id not in taken:
                return replace(problem, slice=_slice(fact.attribute))
        return None

    def _made(
        self,
        ask: Callable[[Random], Problem],
        split: str,
        seed: int,
        start: int,
        num: int,
        exclude: Set[str],
    ) -> list[Problem]:
        """Problems by number, each of its own random numbers."""
        taken = set(exclude)
        problems: list[Problem] = []
        for index in range(start, start + num):
            for attempt in itertools.count():
                problem = ask(Random(f"{split}/{seed}/{index}/{attempt}"))
                if problem.id not in taken:
                    break
                if attempt > _MOST_IN_VAIN:
                    raise DataError(self._too_few(split, start + num, start + len(problems)))
            taken.add(problem.id)
            problems.append(problem)
        return problems

    def _too_few(self, split: str, wanted: int, left: int) -> str:
        when = f"on day {self.day}" if self.day else "before the first day"
        own = self.source.last_day is not None
        more = "task.dialogues" if own else "a larger task.people_a_day or task.facts_a_person"
        return (
            f"the draw '{split}' needs {counted(wanted, 'question')} {when}, but what is told gives {left}; "
            f"more is told with {more}"
        )


def open(settings: AnyTask) -> PeopleSuite:
    """The suite of a config's people, before the first day. Raises DataError for unusable files."""
    assert isinstance(settings, PeopleTask), "the task's own leaf"
    if settings.dialogues:
        from engine.tasks.people_files import Own

        return PeopleSuite(Own(settings), margins=settings.margins)
    return PeopleSuite(Invented(settings), margins=settings.margins)


def _slice(attribute: str) -> str:
    return f"attribute={attribute}"
