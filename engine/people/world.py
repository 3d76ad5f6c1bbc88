"""A world of invented people: a few more each day, without end, all of it decided by a seed.

Some facts of each person are told on the person's day; a few are told wrong at first and corrected, on the
same day or the next one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random

from engine.people import pools
from engine.people.attributes import ATTRIBUTES
from engine.people.lives import PRESENT, Names, Person, never_true, people_of
from engine.people.wordings import PARTS, Part
from engine.records import Fact

_WRONG_SHARE = 0.05
"""Facts that are told wrong and corrected on the same day; as many again are corrected on the next one."""
_RELATIONS_SHARE = 0.4
"""Facts of a person that lead to another person, where there are that many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A fact that is told on a day, and a wrong value that is told before it."""

    fact: Fact
    wrong: Fact | None = None
    late: bool = False
    """Whether the wrong value stands until the next day."""


class World:
    """People and facts of any day; the first day is 1."""

    def __init__(self, seed: int, people_a_day: int = 8, facts_a_person: int = 5) -> None:
        self.seed, self.people_a_day, self.facts_a_person = seed, people_a_day, facts_a_person
        self._names = Names(seed)
        self.people = cache(self._people)
        self.told = cache(self._told)

    def facts(self, day: int) -> list[Fact]:
        """What was told on a day as it stands at the day's end: also what was corrected of the day before."""
        new = [each.wrong if each.wrong and each.late else each.fact for each in self.told(day)]
        return [*new, *(each.fact for each in self._corrected_late(day))]

    def corrections(self, day: int) -> list[tuple[Fact, Fact]]:
        """What was told wrong before and is corrected on a day: pairs of wrong and right."""
        same_day = [each for each in self.told(day) if not each.late]
        return [
            (each.wrong, each.fact)
            for each in (*same_day, *self._corrected_late(day))
            if each.wrong is not None
        ]

    def known(self, day: int) -> list[Fact]:
        """Everything that was told up to a day's end, each once, as it was told last."""
        facts = {
            (fact.subject, fact.attribute): fact for each in range(1, day + 1) for fact in self.facts(each)
        }
        return list(facts.values())

    def strangers(self, num: int, rng: Random, *, part: Part = "gate") -> list[str]:
        """Names of people of whom nothing is ever told, all different; no name is in two parts."""
        places = rng.sample(range(max(10_000, 2 * num)), num)
        return [self._names.stranger(len(PARTS) * place + PARTS.index(part)) for place in places]

    def namesake(self, name: str, rng: Random) -> str:
        """Somebody who shares the first name with one of the people, and is nobody of them."""
        first = name.split()[0]
        numbers = range(start := rng.randrange(50_000, 90_000), start + 2 * len(pools.FIRST_NAMES))
        return next(other for each in numbers if (other := self._names.stranger(each)).split()[0] == first)

    def _corrected_late(self, day: int) -> list[Told]:
        return [each for each in self.told(day - 1) if each.late] if day > 1 else []

    def _people(self, day: int) -> tuple[Person, ...]:
        """Those who are told of for the first time on a day."""
        return people_of(day, self.people_a_day, self._names, Random(f"{self.seed}/people/{day}"))

    def _told(self, day: int) -> tuple[Told, ...]:
        """What is told of them, with what is told wrong at first."""
        rng = Random(f"{self.seed}/told/{day}")
        facts = [fact for person in self.people(day) for fact in self._told_of(person, rng)]
        num = round(_WRONG_SHARE * len(facts))
        wrong = rng.sample(range(len(facts)), min(2 * num, len(facts)))
        told = []
        for place, fact in enumerate(facts):
            number = (day - 1) * len(facts) + place
            value = self._wrong_value(fact, number, facts, rng) if place in wrong else ""
            told.append(
                Told(
                    fact=fact,
                    wrong=replace(fact, value=value) if value else None,
                    late=place in wrong[num:],
                )
            )
        return tuple(told)

    def _wrong_value(self, fact: Fact, number: int, told: Sequence[Fact], rng: Random) -> str:
        """A value that is plausible, and that nobody else has on the day."""
        taken = {each.value for each in told if each.attribute == fact.attribute}
        if (pool := pools.SHARED.get(fact.attribute)) is not None:
            free: Sequence[str] = [value for value in pool if value not in taken]
        elif ATTRIBUTES[fact.attribute].kind == "year":
            # Born a little earlier, or honoured a little later: no other fact speaks against it.
            year = int(fact.value)
            years = range(year - 5, year) if fact.attribute == "birth_year" else range(year + 1, PRESENT)
            free = [str(each) for each in years if str(each) not in taken]
        else:
            free = [never_true(fact.attribute, number, self._names)]
        return rng.choice(free) if free else ""

    def _told_of(self, person: Person, rng: Random) -> list[Fact]:
        """Some facts of a life."""
        relations = [key for key in person.life if ATTRIBUTES[key].relation]
        others = [key for key in person.life if not ATTRIBUTES[key].relation]
        num = min(len(relations), round(_RELATIONS_SHARE * self.facts_a_person))
        keys = rng.sample(relations, num)
        keys += rng.sample(others, min(len(others), self.facts_a_person - num))
        return [Fact(subject=person.name, attribute=key, value=person.life[key]) for key in keys]
