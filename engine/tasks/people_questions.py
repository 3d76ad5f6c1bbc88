"""Questions about people of whom nothing is told, and of every kind about those of whom something was."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Protocol

from engine.people.decoys import invented
from engine.people.sentences import problem
from engine.people.wordings import Kind, Part, Wordings
from engine.records import Dialogue, Fact, Problem, Recall

_KINDS: dict[Kind, float] = {
    "single": 0.3,
    "correction": 0.15,
    "reversal": 0.1,
    "two_step": 0.1,
    "unknown": 0.1,
    "interference": 0.1,
    "six_turns": 0.1,
    "talk": 0.05,
}
"""How frequent each kind is in the sealed part, where there are facts for it."""
_TALK_TURNS = 20
_OF_ONE = 3
"""Facts of one person in a talk of six turns, at the most."""
_UNKNOWN_SHARE = 0.6
"""Of the warm start; the rest gives the facts in the question."""


class Source(Protocol):
    """Where people and talks come from."""

    wordings: Wordings

    @property
    def last_day(self) -> int | None:
        """The last day on which anything is told; None where there is none."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be used, and why: a sentence each."""

    def facts(self, day: int) -> list[Fact]:
        """What was told on a day, as it stands at the day's end."""

    def known(self, day: int) -> list[Fact]:
        """What was told up to a day's end."""

    def dialogues(self, day: int) -> list[Dialogue]:
        """The talks of a day."""

    def corrections(self, day: int) -> list[tuple[Fact, Fact]]:
        """What is corrected on a day: pairs of wrong and right."""

    def strangers(self, num: int, rng: Random, *, part: Part = "gate") -> list[str]:
        """Names of people of whom nothing is told; no name is in two parts."""


def of_nothing_told(source: Source, part: Part, rng: Random) -> Problem:
    """A question for the warm start: about somebody of whom nothing was told, or with the facts in it.

    The one teaches to admit ignorance, the other how an answer is said, without telling a fact of the days.
    """
    attribute = source.wordings.attributes[rng.choice(sorted(source.wordings.attributes))]
    first, second = source.strangers(2, rng, part=part)
    fact = Fact(subject=first, attribute=attribute.key, value=invented(attribute, rng))
    if rng.random() < _UNKNOWN_SHARE:
        return sliced(source.wordings.ask("unknown", [fact], part=part, rng=rng), "unknown")
    kinds: list[Kind] = ["single", "correction", "reversal"]
    kind = rng.choice([each for each in kinds if source.wordings.num(each, attribute.key, part)])
    other = Fact(subject=second, attribute=attribute.key, value=invented(attribute, rng))
    asked = source.wordings.ask(kind, [fact], part=part, rng=rng, others=[other])
    told = " ".join(source.wordings.state(each, rng) for each in rng.sample([fact, other], 2))
    assert isinstance(asked.truth, Recall), "what is asked about people is recalled"
    turns = [f"{told}\n{asked.turns[0]}"]
    return sliced(problem([fact], turns, asked.gold, asked.truth.expected, asked.truth.forbidden), "told")


class Material:
    """What is known, sorted by what can be asked about it."""

    def __init__(self, source: Source, known: Sequence[Fact]) -> None:
        self._source, self._wordings, self.known = source, source.wordings, list(known)
        values = Counter((fact.attribute, fact.value) for fact in known)
        of_subject: dict[str, list[Fact]] = {}
        for fact in known:
            of_subject.setdefault(fact.subject, []).append(fact)
        self.reversible = [
            fact
            for fact in known
            if self._wordings.num("reversal", fact.attribute, "gate")
            and values[fact.attribute, fact.value] == 1
        ]
        self.chains = [
            (fact, further)
            for fact in known
            if self._wordings.attributes[fact.attribute].relation
            for further in of_subject.get(fact.value, ())
            if further.value != fact.subject
        ]
        self._of_subject = of_subject
        self._num_of_few = sum(min(_OF_ONE, len(own)) for own in of_subject.values())

    def serves(self, kind: Kind) -> bool:
        """Whether there are facts for a kind."""
        enough = {
            "reversal": len(self.reversible),
            "two_step": len(self.chains),
            "six_turns": self._num_of_few,
        }
        least = {"six_turns": 6, "talk": _TALK_TURNS, "interference": 2}
        return enough.get(kind, len(self.known)) >= least.get(kind, 1)

    def of_every_kind(self, rng: Random) -> Problem:
        """A question of any kind, in the wordings of the sealed part."""
        kinds = [kind for kind in _KINDS if self.serves(kind)]
        kind = rng.choices(kinds, [_KINDS[each] for each in kinds])[0]
        return sliced(self.ask(kind, "sealed", rng), kind)

    def ask(self, kind: Kind, part: Part, rng: Random) -> Problem:
        """A problem of a kind about facts that suit it."""
        facts: Sequence[Fact] = [rng.choice(self.reversible if kind == "reversal" else self.known)]
        fact = facts[0]
        others = [
            each for each in self.known if each.attribute == fact.attribute and each.subject != fact.subject
        ]
        match kind:
            case "two_step":
                facts = rng.choice(self.chains)
            case "six_turns":
                facts = self._of_few_people(6, rng)
            case "talk":
                facts, others = rng.sample(self.known, _TALK_TURNS), self.known
            case "unknown":
                facts = [replace(fact, subject=self._source.strangers(1, rng, part=part)[0])]
        return self._wordings.ask(kind, facts, part=part, rng=rng, others=others)

    def _of_few_people(self, num: int, rng: Random) -> list[Fact]:
        """Facts of as few people as have that many, in some order."""
        facts: list[Fact] = []
        for subject in rng.sample(sorted(self._of_subject), len(self._of_subject)):
            own = self._of_subject[subject]
            facts += rng.sample(own, min(_OF_ONE, len(own)))
            if len(facts) >= num:
                break
        return rng.sample(facts[:num], num)


def sliced(problem: Problem, kind: str) -> Problem:
    """A problem in the slice of its kind."""
    return replace(problem, slice=f"kind={kind}")
