"""One night of the loop `sleep`: what is learnt and what is replayed, and the dreams of both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from random import Random

from engine.curate import imagined, mixed
from engine.curate.dreams import dream_rows, dreams, num_variations
from engine.curate.replay import choose, held
from engine.records import (
    Attempt,
    Funnel,
    Lived,
    Memory,
    Night,
    Problem,
    Station,
    TrainingSet,
)
from engine.registry.lived import times_learnt
from engine.sample.protocol import Sampling
from loops.days import Day

NIGHT = "night"
"""The stage of a round that holds what its night is to teach."""
_TEMPERATURE = 0.8
"""The temperature at which the model imagines questions."""
_MIXED = 0.5
"""Share of a mixed target's segments that are written with the facts in the prompt."""


@dataclass(frozen=True, kw_only=True)
class NightAfter:
    """The night after a day."""

    day: Day
    memories: Sequence[Memory]
    """All of them, at the end of the day."""
    recalled: Mapping[str, bool]
    """Whether the parent recalls a memory, by id, as far as it was asked."""

    @cached_property
    def nights(self) -> tuple[Night, ...]:
        """All nights before this one."""
        context = self.day.context
        found = [context.run.read(each.stage(NIGHT), Night) for each in self.day.before]
        return (*context.begun.lived.nights, *(night for night in found if night))

    def lived(self) -> Lived:
        """What the line has been told by now, with this night."""
        nights = (*self.nights, self.chosen())
        return Lived(days=self.day.number_of_day, memories=tuple(self.memories), nights=nights)

    def chosen(self) -> Night:
        """What the night teaches: every memory that the parent has not learnt, and old ones by their urgency.

        What a refused night has taught is new again.
        """
        run, share = self.day.context.run, self.day.settings.replay.share

        def choice() -> Night:
            lived = Lived(days=self.day.number_of_day, memories=tuple(self.memories), nights=self.nights)
            times = times_learnt(run.home, run.config.line, lived, self.day.parent.id)
            new = [memory for memory in held(self.memories) if not times[memory.id]]
            old = choose(
                [memory for memory in self.memories if times[memory.id]],
                len(self.memories),
                day=self.day.number_of_day,
                rehearsed={id: num - 1 for id, num in times.items()},
                recalled=self.recalled,
                rng=self._rng("replay"),
            )
            budget = share / (1 - share) * self._num(new, learnt=False)
            return Night(
                run_id=run.id,
                round=self.day.number,
                day=self.day.number_of_day,
                learnt=tuple(memory.id for memory in new),
                replayed=tuple(memory.id for memory in self._within(old, budget)),
            )

        return run.step(
            self.day.stage(NIGHT),
            Night,
            choice,
            doing="What the night is to teach",
            came=lambda night: f"{len(night.learnt)} facts to learn, {len(night.replayed)} to replay",
        )

    def _within(self, memories: Sequence[Memory], budget: float) -> Iterator[Memory]:
        for memory in memories:
            budget -= self._num([memory], learnt=True)
            if budget < 0:
                return
            yield memory

    def _known(self, memories: Sequence[Memory], *, learnt: bool) -> dict[str, bool]:
        """Whether memories need only few replies, by id.

        The evening asks for what is true. What memory holds beside that, such as of a namesake, is taken to
        be recalled once it was `learnt`, as `choose` takes it.
        """
        adaptive = self.day.settings.dreams.adaptive
        return {memory.id: adaptive and self.recalled.get(memory.id, learnt) for memory in memories}

    def _num(self, memories: Sequence[Memory], *, learnt: bool) -> int:
        """How many replies about memories are learnt."""
        variations = self.day.settings.dreams.variations
        return sum(
            num_variations(variations, known=known) for known in self._known(memories, learnt=learnt).values()
        )

    def _rng(self, what: str) -> Random:
        return Random(f"{what}/{self.day.context.config.seed}/{self.day.number}")

    def dreamt(self) -> TrainingSet:
        """The rows of the night, and how they came about."""
        night, by_id = self.chosen(), {memory.id: memory for memory in self.memories}
        new, old = ([by_id[id] for id in ids] for ids in (night.learnt, night.replayed))
        return self.day.context.run.step(
            self.day.stage("dreams"),
            TrainingSet,
            lambda: self._rows(new, old),
            doing=f"It dreams of {len(new)} new and {len(old)} old facts",
            came=lambda data: f"{len(data.rows)} replies to learn",
        )

    def _rows(self, new: Sequence[Memory], old: Sequence[Memory]) -> TrainingSet:
        settings, suite, rng = self.day.settings, self.day.suite, self._rng("dreams")
        num = self._num(new, learnt=False) + self._num(old, learnt=True)
        made, stations = dreams(
            [*new, *old],
            suite.wordings,
            variations=settings.dreams.variations,
            rng=rng,
            context=self.memories,
            recalled=self._known(new, learnt=False) | self._known(old, learnt=True),
            strangers=suite.strangers(ceil(settings.dreams.unknown * num), rng, part="dream"),
        )
        if settings.dreams.imagined:
            own, found = self._imagined(new, made)
            made, stations = [*made, *own], [*stations, *found]
        if settings.targets == "mixsd":
            made, station = mixed.targets(made, self._mixed(made))
            stations.append(station)
        rows = dream_rows(made, self.memories, order=settings.order, system=self.day.context.bench.system)
        last = Station(
            name="rows", num_in=len(made), num_out=len(rows), why="dreams, and the replies in them"
        )
        return TrainingSet.of(rows, Funnel(stations=(*stations, last)))

    def _imagined(
        self, new: Sequence[Memory], made: Sequence[Problem]
    ) -> tuple[list[Problem], list[Station]]:
        """Questions in the model's own words, with the replies that it gives where it reads the facts."""
        day, context = self.day, self.day.context
        sampler, parent, wordings = context.bench.sampler, day.parent.path, day.suite.wordings
        num = day.settings.dreams.imagined
        sampling = Sampling(
            samples=num,
            temperature=_TEMPERATURE,
            seed=context.config.seed + day.number,
            max_new_tokens=context.config.sampler.max_new_tokens,
        )
        texts = context.run.step_many(
            day.stage("imagined"),
            Attempt,
            lambda: imagined.write(sampler, parent, new, wordings, sampling),
            doing=f"It imagines {num} questions about each of {len(new)} facts",
        )
        seen = {problem.id for problem in made}
        questions, stations = imagined.asked(new, texts, wordings, seen=seen)
        replies = context.run.step_many(
            day.stage("imagined-replies"),
            Attempt,
            lambda: imagined.reply(
                sampler, parent, questions, new, wordings, system=context.bench.system, sampling=sampling
            ),
            doing=f"It answers {len(questions)} of them with the facts before it",
        )
        found, station = imagined.answered(questions, replies, new, wordings)
        return found, [*stations, station]

    def _mixed(self, made: Sequence[Problem]) -> list[Attempt]:
        day, config = self.day, self.day.context.config
        sampling = Sampling(
            temperature=1.0, seed=config.seed + day.number, max_new_tokens=config.sampler.max_new_tokens
        )
        return day.context.run.step_many(
            day.stage("mixed"),
            Attempt,
            lambda: mixed.write(
                day.context.bench.sampler,
                day.parent.path,
                made,
                self.memories,
                day.suite.wordings,
                system=day.context.bench.system,
                share=_MIXED,
                sampling=sampling,
            ),
            doing=f"It writes the replies to {len(made)} dreams itself, partly with the facts before it",
        )
