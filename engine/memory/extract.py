"""From talk to statements: by rule where a wording is known, or by the model with constrained decoding.

Neither says what is true: `engine/memory/judge.py` does. Both give the place where a statement was said, and
leave out what does not stand in the talk.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.memory.talk import holds
from engine.people.attributes import Attribute, ValueKind
from engine.people.endings import sentences
from engine.people.speakers import FULL_NAME, speaker_of
from engine.people.values import places_of, plain
from engine.people.wordings import Wordings
from engine.records import Dialogue, Fact, Finish, Statement
from engine.sample.protocol import Request, Sampler, Sampling

_NAMED = re.compile(rf"\b{FULL_NAME}")
_EXAMPLES = (Path(__file__).parent / "extraction.txt").read_text(encoding="utf-8").rstrip("\n")
_NOTHING, _BETWEEN, _NEXT = "nothing", " | ", "; "
_CAPITALS = r"[A-ZÀ-ÞĀ-ž][A-Za-zÀ-ž'’.-]{0,20}( [A-ZÀ-ÞĀ-ž][A-Za-zÀ-ž'’.-]{0,20}){0,3}"
_SMALL = r"[a-zß-ž][a-zß-ž'’-]{0,20}( [a-zß-ž][a-zß-ž'’-]{0,20}){0,3}"
_DATE = (
    r"[0-3]?[0-9] (January|February|March|April|May|June|July|August|September|October|November|December)"
    r"( [0-9]{4})?"
)
_FORMS: Mapping[ValueKind, tuple[str, ...]] = {
    "year": ("[0-9]{1,4}",),
    "number": ("[0-9]{1,4}",),
    "date": (_DATE,),
    "name": (_CAPITALS,),
    "place": (_CAPITALS,),
    "work": (_CAPITALS, _SMALL),
    "thing": (_CAPITALS, _SMALL),
}
"""What the values of a kind look like."""
_MOST_FACTS = 2
"""Facts that the model may find in one exchange."""
_NUM_NEW = 64
"""Tokens for them."""


def by_rule(dialogues: Sequence[Dialogue], wordings: Wordings) -> list[Statement]:
    """The statements in wordings that are known, in the order in which they were said.

    A question and its answer are one statement, in the turn of the answer.
    """
    return [statement for dialogue in dialogues for statement in _read(dialogue, wordings)]


def _read(dialogue: Dialogue, wordings: Wordings) -> Iterator[Statement]:
    person, about, before = speaker_of(dialogue), "", ""
    for number, turn in enumerate(dialogue.turns):
        own = turn.role == "user"
        facts = wordings.read(
            turn.text, speaker=person if own else "", about=about if own else person, asked=before
        )
        for fact in facts:
            yield _statement(fact, dialogue, number, "rule")
        about, before = _still_about(about, turn.text, person, facts), turn.text


def _still_about(about: str, text: str, person: str, facts: Sequence[Fact]) -> str:
    """Whom `she` means after a turn; nobody where the turn names somebody else."""
    others = [fact.subject for fact in facts if fact.subject != person]
    about = others[-1] if others else about
    found = [name for sentence in sentences(plain(text)) for name in _NAMED.findall(sentence)]
    named = {name.rstrip(".") for name in found}
    named -= {plain(name) for name in (person, about, *(fact.value for fact in facts))}
    return "" if named else about


def _statement(fact: Fact, dialogue: Dialogue, turn: int, found_by: Literal["rule", "model"]) -> Statement:
    """A statement with the words that state it: in its turn, or in the one that its turn answers."""
    texts = [dialogue.turns[turn].text, *([dialogue.turns[turn - 1].text] if turn else [])]
    parts = [part for text in texts for part in sentences(text)]
    words = next((part for part in parts if holds(part, fact.value)), dialogue.turns[turn].text)
    return Statement(fact=fact, dialogue=dialogue.id, turn=turn, text=words, found_by=found_by)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exchange:
    """A turn of the person, with what was said before it; or a last turn of the other one."""

    dialogue: Dialogue
    turn: int

    @property
    def id(self) -> str:
        return f"{self.dialogue.id}/{self.turn}"

    @property
    def before(self) -> str:
        """What the other one said just before it."""
        turns, turn = self.dialogue.turns, self.turn
        return turns[turn - 1].text if turn and turns[turn - 1].role != turns[turn].role else ""


def by_model(
    sampler: Sampler, model: Path, dialogues: Sequence[Dialogue], wordings: Wordings
) -> list[Statement]:
    """The statements that a model finds, in the order in which they were said.

    It is shown one exchange at a time and writes ``value | attribute | person``, with the attributes in use:
    what it writes always has this form (`Sampling.pattern`). What is cut off, and a person or value that does
    not stand in the talk, is no statement.
    """
    titles = {attribute.title: key for key, attribute in wordings.attributes.items()}
    exchanges = {each.id: each for dialogue in dialogues for each in _exchanges(dialogue)}
    requests = [Request(problem_id=each.id, messages=_prompt(each)) for each in exchanges.values()]
    sampling = Sampling(max_new_tokens=_NUM_NEW, pattern=pattern_of(wordings.attributes.values()))
    written = {each.problem_id: each for each in sampler.sample(model, requests, sampling)}
    return [
        statement
        for name, exchange in exchanges.items()
        if written[name].finish is Finish.STOP
        for statement in _found(written[name].text, exchange, titles)
    ]


def _exchanges(dialogue: Dialogue) -> Iterator[_Exchange]:
    turns = dialogue.turns
    for number, turn in enumerate(turns):
        if turn.role == "user" or (turn.role == "assistant" and number == len(turns) - 1):
            yield _Exchange(dialogue=dialogue, turn=number)


def pattern_of(attributes: Iterable[Attribute]) -> str:
    """What the model may write about an exchange: nothing, or a few facts about these attributes.

    The value comes first, which is copied from the talk; its form leaves only attributes of a fitting kind.
    """
    titles: dict[str, list[str]] = {}
    for attribute in attributes:
        for form in _FORMS[attribute.kind]:
            titles.setdefault(form, []).append(re.escape(attribute.title))
    values = "|".join(rf"{form} \| ({'|'.join(fitting)})" for form, fitting in titles.items())
    fact = rf"({values}) \| {_CAPITALS}"
    return rf" ({_NOTHING}|{fact}(; {fact}){{0,{_MOST_FACTS - 1}}})\n"


def _prompt(exchange: _Exchange) -> str:
    """Plain text with examples, which the model continues: a small one follows examples, not instructions."""
    person = speaker_of(exchange.dialogue) or "the user"
    turn = exchange.dialogue.turns[exchange.turn]
    asked, said = (exchange.before, turn.text) if turn.role == "user" else (turn.text, "")
    lines = (f"Talk with {person}.", f"Other: {_line(asked)}", f"{person}: {_line(said)}", "Facts:")
    return "\n".join((_EXAMPLES, "", *lines))


def _line(text: str) -> str:
    return " ".join(text.split()) or "…"


def _found(text: str, exchange: _Exchange, titles: Mapping[str, str]) -> Iterator[Statement]:
    """The facts in a model's answer whose person and value stand in the talk."""
    dialogue, turn = exchange.dialogue, exchange.turn
    whole = " ".join(each.text for each in dialogue.turns)
    near = f"{exchange.before} {dialogue.turns[turn].text}"
    for line in text.strip().split(_NEXT) if text.strip() != _NOTHING else ():
        value, title, subject = (part.strip() for part in line.split(_BETWEEN))
        named = subject == speaker_of(dialogue) or (" " in subject and places_of(subject, whole))
        # A name is written with capitals in the talk, too, and not only by the model.
        stands = value in near if value[0].isupper() else holds(near, value)
        if named and stands and value != subject:
            fact = Fact(subject=subject, attribute=titles[title], value=value)
            yield _statement(fact, dialogue, turn, "model")


def in_order(dialogues: Sequence[Dialogue], *found: Sequence[Statement]) -> list[Statement]:
    """Statements from several sources in the order in which they were said; the first of equal ones stays."""
    place = {dialogue.id: number for number, dialogue in enumerate(dialogues)}
    once: dict[tuple[str, int, str, str, str], Statement] = {}
    for each in (statement for statements in found for statement in statements):
        fact = each.fact
        value = " ".join(fact.value.casefold().split())
        once.setdefault((each.dialogue, each.turn, fact.subject, fact.attribute, value), each)
    return sorted(once.values(), key=lambda each: (place[each.dialogue], each.turn))
