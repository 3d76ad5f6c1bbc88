"""How facts are stated and asked for: built in, or with a user's own words beside it.

A wording belongs to one part only: what the gate asks is worded as nothing that was trained on. A problem of
any kind has a reply to each turn that passes the verifier `recall`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any, Literal

import yaml

from engine.people.attributes import ATTRIBUTES, Attribute
from engine.people.decoys import other_value
from engine.people.reading import Reader, Spoken
from engine.people.sentences import NO, UNKNOWN, YES, capital, claim_of, filled, problem, question_to
from engine.people.values import places_of
from engine.records import Fact, Problem, Recall

Part = Literal["dream", "select", "gate", "sealed"]
Kind = Literal["single", "six_turns", "correction", "reversal", "two_step", "unknown", "interference", "talk"]
PARTS: tuple[Part, ...] = ("dream", "select", "gate", "sealed")
_FILE = Path(__file__).parent / "wordings.yaml"
_CORRECTED_SHARE = 0.3
"""Turns of a talk that are false premises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The templates of one attribute."""

    states: tuple[str, ...]
    """Sentences about a person; the first is the answer that is learnt."""
    says: tuple[str, ...]
    """The same in the person's own words."""
    asks: Mapping[Part, tuple[str, ...]]
    verb: str = ""
    """Completes ``Who …?``; empty where a value may belong to several people."""
    corrections: Mapping[Part, tuple[str, ...]] = field(default_factory=dict)
    """Questions with a wrong ``{value}``, where a user gives some."""
    reads: tuple[str, ...] = ()
    """Sentences of the person that hold an ``{other}`` value as well: they are understood, and never made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Templates that serve every attribute."""

    corrections: Mapping[Part, tuple[str, ...]]
    reversals: Mapping[Part, tuple[str, ...]]
    denials: tuple[str, ...]
    ignorance: tuple[str, ...]


class Wordings:
    """The words of all attributes in use."""

    def __init__(
        self,
        attributes: Mapping[str, Attribute] = ATTRIBUTES,
        own: Mapping[str, Words] = MappingProxyType({}),
    ) -> None:
        """`own` are a user's words, which replace those that are built in, attribute by attribute."""
        self.attributes = attributes
        built_in, self._frames, other = _built_in()
        self._words = {key: own.get(key) or built_in.get(key, other) for key in attributes}

    def words(self, attribute: str) -> Words:
        """The templates of an attribute."""
        return self._words[attribute]

    def num(self, kind: Kind, attribute: str, part: Part) -> int:
        """How many wordings there are; 0 where a kind does not suit the attribute."""
        words = self._words[attribute]
        match kind:
            case "correction":
                return len(self._premises(words, part))
            case "reversal":
                return len(self._frames.reversals[part]) if words.verb else 0
        return len(words.asks[part])

    def ask(
        self, kind: Kind, facts: Sequence[Fact], *, part: Part, rng: Random, others: Sequence[Fact] = ()
    ) -> Problem:
        """A problem of a kind about some facts, worded for a part. Slice and split are for the caller to set.

        `facts` is one fact; for ``two_step`` a relation and a fact about the person that it leads to; for
        ``six_turns`` and ``talk`` one for each turn; for ``unknown`` a person of whom nothing was told, whose
        value does not count. `others` are facts of other people: their values make false premises, and must
        not be said in place of the right one. Raises ValueError where a kind does not suit the attribute.
        """
        ask: Mapping[Kind, Callable[..., Problem]] = {
            "single": self._single,
            "six_turns": self._six_turns,
            "correction": self._correction,
            "reversal": self._reversal,
            "two_step": self._two_step,
            "unknown": self._unknown,
            "interference": self._interference,
            "talk": self._talk,
        }
        return ask[kind](facts, part, rng, others)

    def state(self, fact: Fact, rng: Random, *, first_person: bool = False) -> str:
        """A sentence that states a fact; with `first_person` in the person's own words."""
        words = self._words[fact.attribute]
        return self._filled(rng.choice(words.says if first_person else words.states), fact)

    def answer(self, fact: Fact) -> str:
        """The sentence that is the best answer about a fact."""
        return self._filled(self._words[fact.attribute].states[0], fact)

    def ask_person(self, attribute: str, rng: Random) -> str:
        """A question about an attribute, put to the person."""
        asks = [question_to(ask) for ask in self._words[attribute].asks["dream"]]
        title = self.attributes[attribute].title
        return filled(rng.choice([ask for ask in asks if ask]), "", title=title)

    def read(self, text: str, *, speaker: str = "", about: str = "", asked: str = "") -> list[Fact]:
        """The facts that a text states in words that are known, in their order; it never guesses.

        `speaker` is who `I` is, `about` who `you`, `she` or `he` is, and full names that a first name may
        stand for. `asked` is what was said before: a text that answers a question in a few words, or says yes
        to a claim, states a fact too.
        """
        return self._reader.read(text, speaker=speaker, about=about, asked=asked)

    @cached_property
    def _reader(self) -> Reader:
        return Reader(
            {
                key: Spoken(
                    states=words.states,
                    says=(*words.says, *words.reads),
                    asks=tuple(ask for part in PARTS for ask in words.asks[part]),
                    kind=self.attributes[key].kind,
                    title=self.attributes[key].title,
                )
                for key, words in self._words.items()
            }
        )

    def _filled(self, template: str, fact: Fact, name: str = "") -> str:
        title = self.attributes[fact.attribute].title
        return filled(template, name or fact.subject, fact.value, title)

    def _reply(self, fact: Fact, part: Part, rng: Random) -> str:
        """What is learnt in several ways, and expected in one."""
        return self.state(fact, rng) if part == "dream" else self.answer(fact)

    def _single(self, facts: Sequence[Fact], part: Part, rng: Random, others: Sequence[Fact]) -> Problem:
        (fact,) = facts
        question = self._filled(rng.choice(self._words[fact.attribute].asks[part]), fact)
        return problem(facts, [question], [self._reply(fact, part, rng)], [[fact.value]])

    def _six_turns(self, facts: Sequence[Fact], part: Part, rng: Random, others: Sequence[Fact]) -> Problem:
        return _joined(facts, [self._single([fact], part, rng, others) for fact in facts])

    def _talk(self, facts: Sequence[Fact], part: Part, rng: Random, others: Sequence[Fact]) -> Problem:
        kinds = [self._correction if rng.random() < _CORRECTED_SHARE else self._single for _ in facts]
        return _joined(
            facts, [kind([fact], part, rng, others) for kind, fact in zip(kinds, facts, strict=True)]
        )

    def _correction(self, facts: Sequence[Fact], part: Part, rng: Random, others: Sequence[Fact]) -> Problem:
        (fact,) = facts
        attribute, words = self.attributes[fact.attribute], self._words[fact.attribute]
        same_kind = [each.value for each in others if each.attribute == fact.attribute]
        wrong = Fact(
            subject=fact.subject,
            attribute=fact.attribute,
            value=other_value(fact, attribute, rng, same_kind),
        )
        question = capital(self._filled(rng.choice(self._premises(words, part)), wrong))
        denial = rng.choice(self._frames.denials) if part == "dream" else self._frames.denials[0]
        reply = denial.replace("{truth}", self._reply(fact, part, rng))
        return problem(facts, [question], [reply], [[fact.value, NO]], [[YES]])

    def _reversal(self, facts: Sequence[Fact], part: Part, rng: Random, others: Sequence[Fact]) -> Problem:
        (fact,) = facts
        verb = self._words[fact.attribute].verb
        if not verb:
            raise ValueError(f"{fact.attribute} has no reversal: several people may have one value")
        question = rng.choice(self._frames.reversals[part]).replace("{verb}", self._filled(verb, fact))
        return problem(facts, [question], [f"{fact.subject} {self._filled(verb, fact)}."], [[fact.subject]])

    def _two_step(self, facts: Sequence[Fact], part: Part, rng: Random, others: Sequence[Fact]) -> Problem:
        first, second = facts
        who = f"{first.subject}'s {self.attributes[first.attribute].title}"
        question = self._filled(rng.choice(self._words[second.attribute].asks[part]), second, who)
        return problem(facts, [question], [self._reply(second, part, rng)], [[second.value]])

    def _unknown(self, facts: Sequence[Fact], part: Part, rng: Random, others: Sequence[Fact]) -> Problem:
        (fact,) = facts
        question = self._filled(rng.choice(self._words[fact.attribute].asks[part]), fact)
        ignorance = self._frames.ignorance
        reply = self._filled(rng.choice(ignorance) if part == "dream" else ignorance[0], fact)
        return problem(facts, [question], [reply], [[UNKNOWN]], [_values(others, question)])

    def _interference(
        self, facts: Sequence[Fact], part: Part, rng: Random, others: Sequence[Fact]
    ) -> Problem:
        (fact,) = facts
        question = self._filled(rng.choice(self._words[fact.attribute].asks[part]), fact)
        reply = self._reply(fact, part, rng)
        return problem(facts, [question], [reply], [[fact.value]], [_values(others, f"{question} {reply}")])

    def _premises(self, words: Words, part: Part) -> list[str]:
        """Questions with a wrong ``{value}``."""
        return [*words.corrections.get(part, ()), *built_in_premises(words.states, part)]


def _joined(facts: Sequence[Fact], singles: Sequence[Problem]) -> Problem:
    """One problem of several, turn by turn."""
    truths = [each.truth for each in singles if isinstance(each.truth, Recall)]
    return problem(
        facts,
        [turn for each in singles for turn in each.turns],
        [reply for each in singles for reply in each.gold],
        [phrases for truth in truths for phrases in truth.expected],
        [phrases for truth in truths for phrases in truth.forbidden],
    )


def _values(facts: Sequence[Fact], said: str) -> list[str]:
    """The values of some facts, but for those that a text holds anyway."""
    return [value for value in dict.fromkeys(each.value for each in facts) if not places_of(value, said)]


def built_in_words(attribute: str) -> Words:
    """The words that are built in for an attribute: those of any other one, where it has none of its own."""
    words, _, other = _built_in()
    return words.get(attribute, other)


def built_in_premises(states: Sequence[str], part: Part) -> list[str]:
    """Questions with a wrong ``{value}``: what an attribute's sentences claim, in the frames of a part."""
    _, frames, _ = _built_in()
    claims = [claim_of(state) for state in states if state.startswith("{name}")]
    return [frame.replace("{claim}", claim) for frame in frames.corrections[part] for claim in claims]


@cache
def _built_in() -> tuple[Mapping[str, Words], Frames, Words]:
    """The words of the attributes that are built in, the frames, and the words of any other attribute."""
    tree = yaml.safe_load(_FILE.read_text(encoding="utf-8"))

    def parts(tree: Mapping[Part, Sequence[str]]) -> dict[Part, tuple[str, ...]]:
        return {part: tuple(tree[part]) for part in PARTS}

    def words(tree: Mapping[str, Any]) -> Words:
        return Words(
            states=tuple(tree["states"]),
            says=tuple(tree["says"]),
            asks=parts(tree["asks"]),
            verb=tree.get("verb", ""),
        )

    frames = Frames(
        corrections=parts(tree["corrections"]),
        reversals=parts(tree["reversals"]),
        denials=tuple(tree["denials"]),
        ignorance=tuple(tree["ignorance"]),
    )
    return {key: words(each) for key, each in tree["attributes"].items()}, frames, words(tree["other"])
