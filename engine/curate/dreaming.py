"""The kinds of dreams: which of them suit a fact, how many of each it gets, and the drawing of one."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from random import Random
from types import MappingProxyType
from typing import Literal, TypeAlias

from engine.curate.replay import held
from engine.people.sentences import NO, YES, problem
from engine.people.wordings import Kind, Wordings
from engine.records import Fact, Memory, Problem

DreamKind: TypeAlias = Kind | Literal["confirmation", "biography"]
SHARES: Mapping[DreamKind, float] = MappingProxyType(
    {
        "single": 0.40,
        "talk": 0.16,
        "correction": 0.12,
        "two_step": 0.12,
        "reversal": 0.10,
        "biography": 0.06,
        "confirmation": 0.04,
    }
)
"""Of the replies about a fact that are learnt, each kind's part; that of a kind that does not suit a fact
goes to the others."""
_TALK_TURNS = 6
_TALK_PEOPLE = 3
_BIOGRAPHY_FACTS = 6
"""Most facts of one biography: longer replies are learnt by heart, with whatever comes first in them."""
_ABOUT = ("What do you know about {name}?", "Tell me about {name}.", "Who is {name}?")
_REPLACED_SHARE = 0.5
"""False premises about a corrected fact that claim what was held before."""
_FIGURES = ("year", "date", "number")
_ORIGIN = "memory "


def memories_of(dream: Problem) -> tuple[str, ...]:
    """Ids of the memories that a dream is about, the asked ones first; none where it is about a stranger."""
    return tuple(dream.origin.removeprefix(_ORIGIN).split()) if dream.origin.startswith(_ORIGIN) else ()


def dream_of(asked: Problem, kind: str, memories: Sequence[Memory]) -> Problem:
    """A problem as one that is learnt at night, with its kind and the memories that it is about."""
    origin = _ORIGIN + " ".join(dict.fromkeys(memory.id for memory in memories)) if memories else "stranger"
    return replace(asked, slice=f"kind={kind}", split="dream", origin=origin)


@dataclass(slots=True)
class _Chain:
    """A relation, and a fact about the person that it leads to."""

    first: Memory
    second: Memory


class Dreamer:
    """Makes dreams of one night; each call of a maker draws another wording."""

    def __init__(
        self, memories: Sequence[Memory], context: Sequence[Memory], wordings: Wordings, rng: Random
    ) -> None:
        self.memories, self._wordings, self._rng = held(memories), wordings, rng
        everything = [*memories, *context]
        known = {memory.id: memory for memory in held(everything)}
        self._replaced: dict[tuple[str, str], list[Fact]] = defaultdict(list)
        for memory in everything:
            if memory.superseded_by:
                self._replaced[memory.fact.subject, memory.fact.attribute].append(memory.fact)
        self._facts = [memory.fact for memory in known.values()]
        self._bearers = Counter((fact.attribute, fact.value) for fact in self._facts)
        self._of: dict[str, list[Memory]] = defaultdict(list)
        for memory in known.values():
            self._of[memory.fact.subject].append(memory)
        relations = {key for key, attribute in wordings.attributes.items() if attribute.relation}
        self._chains: dict[str, list[_Chain]] = defaultdict(list)
        for first in known.values():
            if first.fact.attribute in relations:
                for second in self._of.get(first.fact.value, ()):
                    if second.fact.value != first.fact.subject:
                        chain = _Chain(first, second)
                        self._chains[first.id].append(chain)
                        self._chains[second.id].append(chain)

    def makers(self, num: Mapping[str, int], strangers: Sequence[str]) -> list[Callable[[], Problem]]:
        """One for each dream of the night: `num` replies about each memory, by its id, and one about each of
        `strangers`."""
        quotas = {memory.id: self._quota(memory, num[memory.id]) for memory in self.memories}
        makers: list[Callable[[], Problem]] = []
        for kind in SHARES:
            wanted = [memory for memory in self.memories for _ in range(quotas[memory.id][kind])]
            match kind:
                case "talk":
                    makers += [partial(self._talk, group) for group in self._talks(wanted)]
                case "biography":
                    # One reply is about all facts of the person, and stands for one of each.
                    most: Counter[str] = Counter()
                    for memory in wanted:
                        most |= Counter({memory.fact.subject: quotas[memory.id][kind]})
                    makers += [partial(self._biography, name) for name in most.elements()]
                case _:
                    makers += [partial(self._alone, kind, memory) for memory in wanted]
        if self.memories:
            makers += [partial(self._unknown, name) for name in strangers]
        return makers

    def _suits(self, kind: DreamKind, memory: Memory) -> bool:
        fact = memory.fact
        match kind:
            case "reversal":
                is_one = self._bearers[fact.attribute, fact.value] == 1
                return is_one and self._wordings.num("reversal", fact.attribute, "dream") > 0
            case "two_step":
                return bool(self._chains[memory.id])
        return True

    def _quota(self, memory: Memory, num: int) -> Counter[DreamKind]:
        """How many replies of each kind: as near to the shares as whole numbers come, on average exactly.

        Source: systematic sampling.
        """
        quota = Counter[DreamKind]({"single": 1})
        shares = {kind: share for kind, share in SHARES.items() if self._suits(kind, memory)}
        total, start = sum(shares.values()), self._rng.random()
        passed = 0.0
        marks = [(start + place) / (num - 1) for place in range(num - 1)]
        for kind, share in shares.items():
            quota[kind] += sum(passed <= mark < passed + share / total for mark in marks)
            passed += share / total
        return quota

    def _talks(self, wanted: Sequence[Memory]) -> Iterator[list[Memory]]:
        """The wanted turns, in talks about a few people each, in which no fact comes twice."""
        left: dict[str, list[Memory]] = defaultdict(list)
        for memory in self._rng.sample(wanted, len(wanted)):
            left[memory.fact.subject].append(memory)
        while left:
            talk: dict[str, Memory] = {}
            for name in self._rng.sample(sorted(left), min(_TALK_PEOPLE, len(left))):
                fresh = dict.fromkeys(left[name])
                for memory in islice(fresh, _TALK_TURNS // _TALK_PEOPLE):
                    left[name].remove(memory)
                    talk[memory.id] = memory
                if not left[name]:
                    del left[name]
            yield self._rng.sample(list(talk.values()), len(talk))

    def _talk(self, memories: Sequence[Memory]) -> Problem:
        facts = [memory.fact for memory in memories]
        asked = self._wordings.ask("talk", facts, part="dream", rng=self._rng, others=self._facts)
        return dream_of(asked, "talk", memories)

    def _biography(self, name: str) -> Problem:
        own: list[Memory] = []
        for memory in self._rng.sample(self._of[name], len(self._of[name])):
            kind = self._wordings.attributes[memory.fact.attribute].kind
            kinds = {self._wordings.attributes[each.fact.attribute].kind for each in own}
            # Beside a year another year is, to the verifier, a second answer.
            if len(own) < _BIOGRAPHY_FACTS and not (kind in _FIGURES and kind in kinds):
                own.append(memory)
        facts = [memory.fact for memory in own]
        question = self._rng.choice(_ABOUT).replace("{name}", name)
        reply = " ".join(self._wordings.state(fact, self._rng) for fact in facts)
        asked = problem(facts, [question], [reply], [[fact.value for fact in facts]])
        return dream_of(asked, "biography", own)

    def _alone(self, kind: DreamKind, memory: Memory) -> Problem:
        if kind == "two_step":
            chain = self._rng.choice(self._chains[memory.id])
            facts = [chain.first.fact, chain.second.fact]
            asked = self._wordings.ask("two_step", facts, part="dream", rng=self._rng)
            return dream_of(asked, kind, [chain.second, chain.first])
        if kind == "confirmation":
            return dream_of(self._confirmation(memory.fact), kind, [memory])
        assert kind != "biography"
        others = self._facts
        if kind == "correction" and self._rng.random() < _REPLACED_SHARE:
            # What was believed before is denied above all.
            others = self._replaced.get((memory.fact.subject, memory.fact.attribute), others)
        asked = self._wordings.ask(kind, [memory.fact], part="dream", rng=self._rng, others=others)
        return dream_of(asked, kind, [memory])

    def _confirmation(self, fact: Fact) -> Problem:
        """A claim that is true, in the words of a false premise: else whatever is claimed would be denied."""
        nobody = replace(fact, value="?")
        asked = self._wordings.ask("correction", [nobody], part="dream", rng=self._rng, others=[fact])
        reply = f"Yes, {self._wordings.answer(fact)}"
        return problem([fact], asked.turns, [reply], [[fact.value, YES]], [[NO]])

    def _unknown(self, name: str) -> Problem:
        attribute = self._rng.choice(self.memories).fact.attribute
        nothing = Fact(subject=name, attribute=attribute, value="")
        asked = self._wordings.ask("unknown", [nothing], part="dream", rng=self._rng)
        return dream_of(asked, "unknown", ())
