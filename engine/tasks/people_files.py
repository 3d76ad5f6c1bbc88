"""A user's own people as a source of the task: talks in JSONL, and what is true in YAML (`people_yaml.py`).

    {"person": "curie", "day": 1, "text": "<|im_start|>user\\nI was born in Warsaw.<|im_end|>"}
    {"person": "curie", "messages": [{"role": "user", "content": "I was born in Warsaw."}]}

In these talks the user is the person, named by the line or by a turn such as "I am Marie Curie". A line
without a ``day`` is of day 1. Of what is true, the talks of a day tell the facts whose values they hold.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Literal, cast

from configs.tasks import PeopleTask
from engine.people.replies import Reply
from engine.people.speakers import speaker_of
from engine.people.wordings import Part
from engine.people.world import World
from engine.records import Dialogue, Fact, Turn
from engine.tasks.objects import (
    LineFault,
    NotARecord,
    Number,
    keys_of,
    messages_of,
    read_objects,
    require_no_mistyped,
    shown,
    text_of,
    text_or_nothing,
)
from engine.tasks.people_yaml import read_people
from engine.tasks.suite import DataError
from engine.terminal import counted

_KEYS = frozenset({"person", "text", "messages", "day"})
_MARKUP = re.compile(r"<\|im_start\|>\s*(\w+)\s*\n(.*?)<\|im_end\|>", re.DOTALL)
_ROLES = ("system", "user", "assistant")
_MOST_DAYS = 10_000


class Own:
    """People and talks of a user's own."""

    def __init__(self, settings: PeopleTask) -> None:
        """Raises DataError for files that cannot be used."""
        assert settings.people, "a config with talks has people"
        templates = Path(settings.templates) if settings.templates else None
        own = read_people(Path(settings.people), templates)
        self.people, self.wordings = own.people, own.wordings
        self._names = {each.id: each.name for each in own.people} | {
            each.name: each.name for each in own.people
        }
        dialogues, repeated = read_dialogues(settings.dialogues, self._names)
        self.last_day = max(each.day for each in dialogues)
        """The last day on which there are talks."""
        self._dialogues: dict[int, list[Dialogue]] = defaultdict(list)
        self._with: dict[tuple[int, str], list[Dialogue]] = defaultdict(list)
        for each in dialogues:
            self._dialogues[each.day].append(each)
            self._with[each.day, speaker_of(each).casefold()].append(each)
        self._facts = self._told_by_day()
        self._strangers = World(settings.seed)
        self.notes = (*own.notes, *self._notes(repeated))
        if not self._facts:
            raise DataError(
                f"{settings.dialogues[0]}: no dialogue holds the value of a fact that {settings.people} has "
                "of its person"
            )

    def dialogues(self, day: int) -> list[Dialogue]:
        """The talks of a day, in the order of their files."""
        return list(self._dialogues.get(day, ()))

    def facts(self, day: int) -> list[Fact]:
        """What was told on a day for the first time."""
        return list(self._facts.get(day, ()))

    def known(self, day: int) -> list[Fact]:
        """What was told up to a day's end."""
        return [fact for each in range(1, day + 1) for fact in self.facts(each)]

    def corrections(self, day: int) -> list[tuple[Fact, Fact]]:
        """Pairs of wrong and right that are said in two turns in a row of a talk with the person.

        A wrong value that is the right one of something else was said of that.
        """
        return [
            (wrong, right)
            for person in self.people
            for said in [list(self._said(day, person.name, in_a_row=2))]
            for wrong in person.wrong
            for right in person.facts
            if right.attribute == wrong.attribute and wrong.value not in [each.value for each in person.facts]
            if any(each.holds(wrong.value) and each.holds(right.value) for each in said)
        ]

    def strangers(self, num: int, rng: Random, *, part: Part = "gate") -> list[str]:
        """Invented names, none of a person of the files."""
        names = self._strangers.strangers(num + len(self.people), rng, part=part)
        return [name for name in names if name not in self._names][:num]

    def _told_by_day(self) -> dict[int, list[Fact]]:
        """The facts whose values the talks with their person hold, by the first day of which one does."""
        found: dict[int, list[Fact]] = {}
        told: set[Fact] = set()
        for day in sorted(self._dialogues):
            new = [
                fact
                for person in self.people
                for said in [list(self._said(day, person.name))]
                for fact in person.facts
                if fact not in told and any(each.holds(fact.value) for each in said)
            ]
            if new:
                found[day] = new
                told.update(new)
        return found

    def _said(self, day: int, person: str, in_a_row: int = 1) -> Iterator[Reply]:
        """What is said in every turn, or in so many in a row, of the talks of a day with a person."""
        for dialogue in self._with.get((day, person.casefold()), ()):
            texts = [turn.text for turn in dialogue.turns]
            for place in range(max(1, len(texts) - in_a_row + 1)):
                yield Reply.to("", "\n".join(texts[place : place + in_a_row]))

    def _notes(self, repeated: int) -> list[str]:
        notes = []
        if repeated:
            what = "repeats an earlier one of the same day, and is read once"
            if repeated > 1:
                what = "repeat earlier ones of the same day, and are read once"
            notes.append(f"{counted(repeated, 'dialogue')} {what}")
        told = set(self.known(self.last_day))
        untold = [fact for person in self.people for fact in person.facts if fact not in told]
        if untold:
            few = ", ".join(f"{fact.attribute} of {fact.subject}" for fact in untold[:3])
            notes.append(
                f"{counted(len(untold), 'fact')}, such as {few}, are held by no dialogue with the person, "
                "so nothing asks for them"
            )
        return notes


def read_dialogues(files: Sequence[str], names: Mapping[str, str]) -> tuple[list[Dialogue], int]:
    """The talks of some files, each once a day, and how many repeat another.

    `names` are the full names of people by what ``person`` may be. Raises DataError for the first broken
    line.
    """
    faults: list[LineFault] = []
    dialogues: dict[str, Dialogue] = {}
    num = 0
    for file in dict.fromkeys(files):

        def take(record: dict[str, Any], number: int, file: str = file) -> None:
            nonlocal num
            dialogue = _dialogue(record, names, f"{Path(file).name}#{number}")
            dialogues.setdefault(dialogue.id, dialogue)
            num += 1

        read_objects(file, faults, take, what="dialogue")
    if faults:
        more = f" (and {counted(len(faults) - 1, 'more fault')})" if len(faults) > 1 else ""
        raise DataError(f"{faults[0]}{more}")
    return list(dialogues.values()), num - len(dialogues)


def _dialogue(record: Mapping[str, Any], names: Mapping[str, str], source: str) -> Dialogue:
    require_no_mistyped(record, _KEYS)
    if ("text" in record) == ("messages" in record):
        raise NotARecord(f"must have 'text' with chat markup or 'messages'{keys_of(record)}")
    if "text" in record:
        turns = _marked_up(text_of(record["text"], "text"))
    else:
        said = ((str(each["role"]), text_of(each["content"], "content")) for each in messages_of(record))
        turns = tuple(_turn(role, text) for role, text in said)
    person = text_or_nothing(record, "person")
    if person and person not in names:
        allowed = ", ".join(list(names)[:6])
        raise NotARecord(f"'person' must be one of the people: {allowed}, got {shown(person)}")
    dialogue = Dialogue(id="", day=_day(record), turns=turns, person=names.get(person, ""), source=source)
    content = "\n".join(
        [str(dialogue.day), dialogue.person, *(f"{turn.role}: {turn.text}" for turn in turns)]
    )
    return replace(dialogue, id=hashlib.sha256(content.encode()).hexdigest()[:16])


def _day(record: Mapping[str, Any]) -> int:
    day = record.get("day", Number("1"))
    if not isinstance(day, Number) or not re.fullmatch(r"[1-9]\d{0,4}", day) or int(day) > _MOST_DAYS:
        raise NotARecord(f"'day' must be a number from 1 to {_MOST_DAYS}, got {shown(day)}")
    return int(day)


def _marked_up(text: str) -> tuple[Turn, ...]:
    turns = tuple(_turn(role, said) for role, said in _MARKUP.findall(text))
    if not turns or _MARKUP.sub("", text).strip():
        raise NotARecord(
            "'text' must be turns such as <|im_start|>user, a line break, what is said, and <|im_end|>, got "
            f"{shown(text)}"
        )
    return turns


def _turn(role: str, text: str) -> Turn:
    if role not in _ROLES:
        raise NotARecord(f"a role must be one of {', '.join(_ROLES)}, got {shown(role)}")
    return Turn(role=cast(Literal["system", "user", "assistant"], role), text=text.strip())
