"""Talks of a day in which facts come up as they do in talk, labelled statement by statement.

A talk is with one person, who is the user; the assistant asks, guesses and chats. Facts are stated by either
speaker, or come of a question and its answer; some are corrected later in the talk or on the next day, some
are contradicted in passing. Between them stand trivial remarks, absurd ones, and facts about somebody else
who has the same first name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Literal

from engine.people.decoys import other_value
from engine.people.lives import Person
from engine.people.sentences import claim_of, first_to_second
from engine.people.wordings import Wordings
from engine.people.world import Told, World
from engine.records import Dialogue, Fact, Statement, Turn

Label = Literal["true", "trivial", "absurd", "contradicting", "correcting", "other_person"]

_GREETINGS = (
    ("Hello! Who am I talking to?", "I am {name}."),
    ("Hi there! What is your name?", "My name is {name}."),
    ("Good morning! Who is this?", "This is {name}."),
    ("Nice to meet you! What should I call you?", "I'm {name}."),
)
_PARTINGS = (
    ("It was nice to talk to you, {name}.", "Likewise. See you!"),
    ("Thank you for the talk, {name}.", "You're welcome. Goodbye!"),
    ("Thanks, {name}. Have a good day!", "Thank you, you too."),
)
_TRIVIAL = (
    ("How are you today?", "I am a little tired today.", "mood", "tired"),
    ("What a day, isn't it?", "The bus was late again.", "bus", "late"),
    ("Did you have lunch already?", "I had a sandwich for lunch.", "lunch", "a sandwich"),
    ("How was your weekend?", "I slept until nine on Sunday.", "sleep", "until nine"),
    ("Anything new?", "My umbrella broke this morning.", "umbrella", "broken"),
    ("How is the weather where you are?", "It rained all morning.", "weather", "rain"),
    ("Is it cold outside?", "It is windy outside.", "weather", "wind"),
    ("What are you doing?", "I am drinking a cup of tea.", "drink", "a cup of tea"),
    ("Busy day?", "I spent an hour looking for my keys.", "keys", "lost"),
    ("Did you have breakfast?", "I burnt the toast today.", "breakfast", "toast"),
)
"""A question in passing, and a remark that is not worth keeping, as attribute and value."""
_ABSURD = (
    ("birth_year", "2891"),
    ("birth_year", "1203"),
    ("spouse", "a table lamp"),
    ("home", "the inside of a teapot"),
    ("house_number", "minus seven"),
    ("child", "a bicycle"),
    ("job", "full moon"),
    ("favourite_food", "wet concrete"),
    ("moved_year", "3555"),
    ("award_year", "12"),
    ("employer", "a passing cloud"),
    ("birth_place", "the planet Mars"),
)
"""Attributes with values that cannot be."""
_OPENINGS = ("", "", "", "Well, ", "You know, ", "By the way, ", "Oh, and ")
_TOGETHER_SHARE = 0.3
"""Talks in which two facts are stated in one breath."""
_ACKNOWLEDGED = ("I see.", "Interesting.", "Good to know.", "Thank you for telling me.", "Oh, nice.")
_CORRECTED = (
    "Sorry, I made a mistake: {said}",
    "Wait, that was wrong. {said}",
    "Let me correct that: {said}",
    "Actually, I misspoke. {said}",
)
_CORRECTED_LATE = (
    "I told you something wrong last time. {said}",
    "I have to correct what I said the last time: {said}",
    "Last time I made a mistake. {said}",
)
_GUESSES = ("So {you}?", "{you}, right?", "If I understand you well, {you}?")
_AGREED = ("Yes, that is right.", "Yes, exactly.", "That's right.", "Exactly.")
_ABOUT_ANOTHER = (
    "There is somebody with a name like mine. {said}",
    "Do not mix me up with {name}. {said}",
    "By the way, {name} is no relation of mine. {said}",
)
_CONTRADICTING = ("By the way, {said}", "{said}")
_CONTRADICTED_SHARE = 0.06
"""Facts of the talks before that somebody else gets wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A statement of a talk, with what it is."""

    statement: Statement
    label: Label


class _Talk:
    """A talk that is being written."""

    def __init__(self, id: str, person: Person, wordings: Wordings, rng: Random) -> None:
        self.person, self.wordings, self.rng, self.id = person, wordings, rng, id
        self.turns: list[Turn] = []
        self.said: list[Said] = []

    def exchange(self, assistant: str, user: str) -> None:
        """One turn of each."""
        self.turns += [Turn(role="assistant", text=assistant), Turn(role="user", text=user)]

    def label(self, fact: Fact, label: Label, text: str) -> None:
        """What the last turn said."""
        turn = len(self.turns) - 1
        statement = Statement(fact=fact, dialogue=self.id, turn=turn, text=text, found_by="rule")
        self.said.append(Said(statement=statement, label=label))

    def greet(self) -> None:
        """The person says who it is."""
        asked, answered = self.rng.choice(_GREETINGS)
        self.exchange(asked, answered.replace("{name}", self.person.name))

    def part(self) -> None:
        """The end of the talk."""
        thanks, goodbye = self.rng.choice(_PARTINGS)
        self.exchange(thanks.replace("{name}", self.person.name.split()[0]), goodbye)

    def state(self, fact: Fact, label: Label) -> None:
        """A fact about the person, in one of the ways in which facts come up."""
        ways = (self._plainly, self._asked, self._guessed)
        self.rng.choices(ways, (0.5, 0.25, 0.25))[0](fact, label)

    def correct(self, fact: Fact, leads: Sequence[str]) -> None:
        """A fact in place of a wrong one that was told before."""
        self._plainly(fact, "correcting", self.rng.choice(leads))

    def mention(self, fact: Fact, label: Label, leads: Sequence[str]) -> None:
        """A fact about somebody else."""
        said = self.wordings.state(fact, self.rng)
        lead = self.rng.choice(leads).replace("{name}", fact.subject)
        self.exchange(self.rng.choice(_ACKNOWLEDGED), lead.replace("{said}", said))
        self.label(fact, label, said)

    def chat(self) -> None:
        """A remark that is not worth keeping."""
        asked, answered, attribute, value = self.rng.choice(_TRIVIAL)
        self.exchange(asked, answered)
        self.label(Fact(subject=self.person.name, attribute=attribute, value=value), "trivial", answered)

    def absurd(self, fact: Fact) -> None:
        """Something that cannot be."""
        self._plainly(fact, "absurd")

    def together(self, one: Fact, other: Fact) -> None:
        """Two facts in one sentence."""
        first, second = (self.wordings.state(fact, self.rng, first_person=True) for fact in (one, other))
        self.exchange(self.rng.choice(_ACKNOWLEDGED), f"{claim_of(first)}, and {_inside(second)}")
        self.label(one, "true", first)
        self.label(other, "true", second)

    def _plainly(self, fact: Fact, label: Label, lead: str = "{said}") -> None:
        said = self.wordings.state(fact, self.rng, first_person=True)
        opening = self.rng.choice(_OPENINGS) if lead == "{said}" else ""
        text = lead.replace("{said}", f"{opening}{_inside(said)}" if opening else said)
        self.exchange(self.rng.choice(_ACKNOWLEDGED), text)
        self.label(fact, label, said)

    def _asked(self, fact: Fact, label: Label) -> None:
        """Spread over two turns: a question of the one, the bare value of the other."""
        question = self.wordings.ask_person(fact.attribute, self.rng)
        answer = f"{fact.value[:1].upper()}{fact.value[1:]}."
        self.exchange(question, answer)
        self.label(fact, label, answer)

    def _guessed(self, fact: Fact, label: Label) -> None:
        """The assistant says it, the person agrees."""
        said = first_to_second(self.wordings.state(fact, self.rng, first_person=True)).removesuffix(".")
        frame = self.rng.choice(_GUESSES)
        you = said if frame.startswith("{you}") else _inside(said)
        self.exchange(frame.replace("{you}", you), self.rng.choice(_AGREED))
        self.label(fact, label, said)


def _inside(sentence: str) -> str:
    """A sentence as it goes on within another one."""
    is_name = sentence.split()[0] in ("I", "I'm")
    return sentence if is_name else sentence[:1].lower() + sentence[1:]


def talks(world: World, wordings: Wordings, day: int) -> list[tuple[Dialogue, list[Said]]]:
    """The talks of a day, in the order in which they are held, each with what is stated in it."""
    rng = Random(f"{world.seed}/talks/{day}")
    held: list[_Talk] = []
    told: list[Fact] = []
    for person in world.people(day):
        own = [each for each in world.told(day) if each.fact.subject == person.name]
        talk = _Talk(f"day-{day:03d}-{len(held):02d}", person, wordings, rng)
        _talk_of(talk, world, own, told)
        told += [each.fact for each in own if not each.late]
        held.append(talk)
    for person in world.people(day - 1) if day > 1 else ():
        if late := [each for each in world.told(day - 1) if each.late and each.fact.subject == person.name]:
            talk = _Talk(f"day-{day:03d}-{len(held):02d}", person, wordings, rng)
            talk.greet()
            for each in late:
                talk.correct(each.fact, _CORRECTED_LATE)
            talk.part()
            held.append(talk)
    return [(_dialogue(talk, day, world.seed), talk.said) for talk in held]


def _talk_of(talk: _Talk, world: World, told: Sequence[Told], before: Sequence[Fact]) -> None:
    """A talk with one of the day's people; `before` was told of others in the talks before it."""
    rng, name = talk.rng, talk.person.name
    plain = [each.fact for each in told if not each.wrong]
    both = rng.sample(plain, 2) if len(plain) > 1 and rng.random() < _TOGETHER_SHARE else []
    pieces: list[list[Callable[[], None]]] = [_piece(talk, each) for each in told if each.fact not in both]
    if both:
        pieces.append([partial(talk.together, *both)])
    pieces += [[talk.chat] for _ in range(rng.randint(1, 2))]
    if rng.random() < 0.4:
        attribute, value = rng.choice(_ABSURD)
        pieces.append([partial(talk.absurd, Fact(subject=name, attribute=attribute, value=value))])
    if rng.random() < 0.4:
        other = rng.choice([each.fact for each in told])
        value = other_value(other, talk.wordings.attributes[other.attribute], rng)
        namesake = Fact(subject=world.namesake(name, rng), attribute=other.attribute, value=value)
        pieces.append([partial(talk.mention, namesake, "other_person", _ABOUT_ANOTHER)])
    for fact in before:
        if rng.random() < _CONTRADICTED_SHARE / max(1, world.people_a_day / 2):
            value = other_value(fact, talk.wordings.attributes[fact.attribute], rng)
            wrong = replace(fact, value=value)
            pieces.append([partial(talk.mention, wrong, "contradicting", _CONTRADICTING)])
    talk.greet()
    for piece in _in_some_order(pieces, rng):
        piece()
    talk.part()


def _piece(talk: _Talk, told: Told) -> list[Callable[[], None]]:
    """What is said of a fact, in order."""
    if told.wrong is None:
        return [partial(talk.state, told.fact, "true")]
    first = partial(talk.state, told.wrong, "true")
    return [first] if told.late else [first, partial(talk.correct, told.fact, _CORRECTED)]


def _in_some_order(pieces: Sequence[Sequence[Callable[[], None]]], rng: Random) -> list[Callable[[], None]]:
    """Pieces in a random order, in which the parts of each stay one behind the other."""
    places = [place for place, piece in enumerate(pieces) for _ in piece]
    rng.shuffle(places)
    left = [list(piece) for piece in pieces]
    return [left[place].pop(0) for place in places]


def _dialogue(talk: _Talk, day: int, seed: int) -> Dialogue:
    return Dialogue(
        id=talk.id, day=day, turns=tuple(talk.turns), person=talk.person.name, source=f"people, seed {seed}"
    )
