"""Labelled statements, and the judge of memory held against them: by hand, and made by seed."""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.embeddings import Embed
from engine.memory.book import Book
from engine.memory.judge import judge
from engine.memory.talk import holds
from engine.people.attributes import ATTRIBUTES
from engine.people.dialogues import Said, talks
from engine.people.endings import sentences
from engine.people.wordings import Wordings
from engine.people.world import World
from engine.records import Dialogue, Disposal, Fact, Judgement, Memory, Statement, Turn

BY_HAND = Path(__file__).parent / "hand_statements.jsonl"
"""One statement a line, with what is held before it: ``turns`` begin with U (the person) or A, ``at`` is the
turn that states ``fact``, ``expect`` is the right decision, and ``label`` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A statement with the decision that is right."""

    label: str
    expected: Disposal
    statement: Statement
    dialogue: Dialogue
    held: tuple[Fact, ...]
    """In the order in which they were told: a later value of the same attribute replaced the earlier one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A labelled statement with the decision that was made."""

    labelled: Labelled
    judgement: Judgement
    memories: tuple[Memory, ...]

    @property
    def is_held(self) -> bool:
        return self.judgement.disposal in (Disposal.STORE, Disposal.CORRECT)

    @property
    def right(self) -> bool:
        return self.judgement.disposal is self.labelled.expected


def dialogue(*turns: str, person: str = "", id: str = "d", day: int = 2) -> Dialogue:
    """A talk whose turns begin with ``U:`` (the person) or ``A:``."""
    roles: dict[str, Literal["user", "assistant"]] = {"U": "user", "A": "assistant"}
    read = tuple(Turn(role=roles[turn[0]], text=turn[3:]) for turn in turns)
    return Dialogue(id=id, day=day, turns=read, person=person, source="by hand")


def statement(talk: Dialogue, at: int, *fact: str) -> Statement:
    """A statement as an extractor would give it: with the sentence of its turn that holds the value."""
    of, text = _fact(fact), talk.turns[at].text
    words = next((part for part in sentences(text) if holds(part, of.value)), text)
    return Statement(fact=of, dialogue=talk.id, turn=at, text=words, found_by="model")


def by_hand() -> list[Labelled]:
    """The hundred statements that were written by hand."""
    return [_read(json.loads(line)) for line in BY_HAND.read_text(encoding="utf-8").splitlines()]


def _read(row: Mapping[str, Any]) -> Labelled:
    talk = dialogue(*row["turns"], person=row["person"], id=row["id"])
    return Labelled(
        label=row["label"],
        expected=Disposal(row["expect"]),
        statement=statement(talk, row["at"], *row["fact"]),
        dialogue=talk,
        held=tuple(map(_fact, row["held"])),
    )


def _fact(parts: Sequence[str]) -> Fact:
    subject, attribute, value = parts
    return Fact(subject=subject, attribute=attribute, value=value)


def held(*facts: Fact | tuple[str, str, str]) -> list[Memory]:
    """Memory after a first day on which these facts were told, one after the other."""
    book = Book([])
    for each in facts:
        fact = each if isinstance(each, Fact) else _fact(each)
        said = Statement(fact=fact, dialogue="day-001", turn=0, text=fact.value, found_by="rule")
        book.store(fact, said, 5, 1)
    return book.memories


def judged_alone(labelled: Iterable[Labelled], embed: Embed | None = None) -> list[Judged]:
    """Each statement judged by itself, on the day after what is held was told."""
    found = []
    for each in labelled:
        before = held(*each.held)
        (judgement,), memories = judge(
            [each.statement], before, ATTRIBUTES, dialogues=[each.dialogue], day=2, embed=embed
        )
        found.append(Judged(labelled=each, judgement=judgement, memories=tuple(memories)))
    return found


EXPECTED = {
    "true": Disposal.STORE,
    "trivial": Disposal.REJECT,
    "absurd": Disposal.REJECT,
    "contradicting": Disposal.UNDECIDED,
    "correcting": Disposal.CORRECT,
    "other_person": Disposal.STORE,
}
"""The decision that is right about a statement of the invented world, by its label."""


def by_seed(num: int, embed: Embed | None = None) -> tuple[list[Judged], int]:
    """So many labelled statements of invented worlds, three days of each, judged one day after the other.

    Also how many of those that contradict what was told before were stored.
    """
    wordings, judged = Wordings(), list[Judged]()
    for seed in itertools.count():
        world, memories = World(seed), list[Memory]()
        for day in (1, 2, 3):
            told = talks(world, wordings, day)
            judged += _day(told, memories, wordings, day, embed)
            memories = list(judged[-1].memories)
            if len(judged) >= num:
                kept = judged[:num]
                wrong = [each for each in kept if each.labelled.label == "contradicting" and each.is_held]
                return kept, len(wrong)
    raise AssertionError("worlds are without end")


def _day(
    told: Sequence[tuple[Dialogue, list[Said]]],
    before: Sequence[Memory],
    wordings: Wordings,
    day: int,
    embed: Embed | None,
) -> list[Judged]:
    talks_of = {talk.id: talk for talk, _ in told}
    said = [each for _, statements in told for each in statements]
    judgements, memories = judge(
        [each.statement for each in said],
        before,
        wordings.attributes,
        dialogues=talks_of.values(),
        day=day,
        embed=embed,
    )
    known = {(memory.fact.subject, memory.fact.attribute) for memory in before}
    found = []
    for each, judgement in zip(said, judgements, strict=True):
        place = each.statement.fact.subject, each.statement.fact.attribute
        # A correction of something that was rightly kept out corrects nothing.
        corrects = each.label == "correcting" and place in known
        expected = EXPECTED[each.label] if corrects or each.label != "correcting" else Disposal.STORE
        talk = talks_of[each.statement.dialogue]
        labelled = Labelled(
            label=each.label, expected=expected, statement=each.statement, dialogue=talk, held=()
        )
        found.append(Judged(labelled=labelled, judgement=judgement, memories=tuple(memories)))
        if found[-1].is_held:
            known.add(place)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How often a decision was made, was right, and would have been right."""

    made: int
    right: int
    wanted: int

    @property
    def precision(self) -> float:
        return self.right / self.made if self.made else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.wanted if self.wanted else 1.0


def scores(judged: Sequence[Judged]) -> dict[Disposal, Score]:
    """Precision and recall of each decision."""
    made = Counter(each.judgement.disposal for each in judged)
    wanted = Counter(each.labelled.expected for each in judged)
    right = Counter(each.judgement.disposal for each in judged if each.right)
    return {each: Score(made=made[each], right=right[each], wanted=wanted[each]) for each in Disposal}
