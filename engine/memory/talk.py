"""What the talk around a statement says about it: a guess, a joke, a denial, a correction.

Each reading is by the phrases in phrases.yaml, so that a decision can be explained and repeated.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.memory.book import person_key
from engine.people.values import date_of, dates_in, number_of, numbers_in, places_of, plain
from engine.records import Dialogue, Statement, Turn

_TITLES = r"(?<!\bMr\.)(?<!\bDr\.)(?<!\bMs\.)(?<!\bSt\.)(?<!\bMrs\.)(?<!\b[A-Z]\.)"
_END = re.compile(rf"{_TITLES}(?:(?<=[.!?…])|(?<=[.!?…][\"”’)]))\s+")
"""Blanks between two sentences."""
_NOT = (
    r"\b(not|\w+n't|never(?! (?:thought|knew|expected|imagined))|no longer|neither|nor|nobody|instead of"
    r"|rather than)\b(?! only)"
    r"(?:(?! - |\b(?:but|and|because|so|since|that|who|which|where|when|if)\b)[^,.;:!?])*?"
)
"""A word that denies what follows it in its clause."""
_NAME = r"[^\W\d_][\w'’.-]*"
_INTRODUCES = re.compile(rf"\b(?:I'm|I am|[Mm]y name is|[Tt]his is) (?=[A-Z])({_NAME}(?: (?=[A-Z]){_NAME})+)")
_DISOWNED = r"\b(did i say|i said|i told you|you said|you wrote|i thought|you thought)\b[^.:;!?]{0,40}?"
_NEAR = 2
"""Sentences before and after a statement, of the same turn, in which its speaker may correct something."""
_SHORT = 4
"""Words of a sentence that only leads to the next one: ``Oh, sorry.``"""


@cache
def _phrases() -> dict[str, str]:
    """The phrases by what they mean, each list as one regular expression."""
    import yaml

    lists = yaml.safe_load((Path(__file__).parent / "phrases.yaml").read_text(encoding="utf-8"))
    return {name: "|".join(f"(?:{phrase})" for phrase in phrases) for name, phrases in lists.items()}


def says(name: str, text: str, value: str = "") -> bool:
    """Whether a text holds one of the phrases of a list; VALUE in a phrase stands for `value`."""
    pattern = _phrases()[name].replace("VALUE", _pattern_of(value))
    return re.search(rf"(?<!\w)(?:{pattern})(?!\w)", _plain(text), re.IGNORECASE) is not None


def _begins(name: str, text: str) -> bool:
    return re.match(rf"\W*(?:{_phrases()[name]})(?!\w)", _plain(text), re.IGNORECASE) is not None


def _plain(text: str) -> str:
    return " ".join(plain(text).split())


def _pattern_of(value: str) -> str:
    """A regular expression for a value as whole words, whatever stands between them."""
    return r"\W+".join(map(re.escape, re.findall(r"\w+", plain(value)))) or r"(?!)"


def holds(text: str, value: str) -> bool:
    """Whether a value stands in a text as whole words, or as a date or number in another form."""
    if places_of(value, text):
        return True
    if (date := date_of(value)) is not None:
        return any(found.value == date for found in dates_in(text))
    number = number_of(value)
    return number is not None and any(found.value == number for found in numbers_in(text))


def sentences(text: str) -> list[str]:
    """The sentences of a text, in order."""
    return [part.strip() for part in _END.split(text.strip()) if part.strip()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """A statement with what was said around it."""

    subject: str
    value: str
    sentence: str
    """The sentence that holds the value."""
    lead: tuple[str, ...] = ()
    """The sentences before it in the same turn."""
    rest: tuple[str, ...] = ()
    """The sentences after it in the same turn."""
    before: str = ""
    """The turn before, by the other speaker."""
    reply: str = ""
    """The turn after, by the other speaker."""
    later: str = ""
    """The speaker's next turn."""
    confirmed: bool = False
    """The other speaker says yes to it."""
    by_subject: bool = False
    """The person whom it is about states it, or says yes to it."""

    @property
    def near(self) -> str:
        """What the speaker says in the same breath."""
        return " ".join((*self.lead[-_NEAR:], self.sentence, *self.rest[:_NEAR]))


def hear(statement: Statement, dialogue: Dialogue) -> Talk:
    """The talk around a statement, which stands in its turn or in the one that its turn replies to."""
    turns, at, value = dialogue.turns, statement.turn, statement.fact.value
    is_before = not holds(turns[at].text, value) and holds(_turn(turns, at - 1), value)
    place = at - 1 if is_before else at
    parts = sentences(turns[place].text)
    found = [part for part in parts if part in statement.text or statement.text in part]
    inside = next((part for part in [*found, *parts] if holds(part, value)), statement.text)
    number = parts.index(inside) if inside in parts else len(parts)
    rest, reply = tuple(parts[number + 1 :]), _turn(turns, place + 1)
    confirmed = _begins("yes", reply) and (is_before or _asks(inside, rest))
    speaks = turns[place].role == "user" or confirmed
    return Talk(
        subject=statement.fact.subject,
        value=value,
        sentence=inside,
        lead=tuple(parts[:number]),
        rest=rest,
        before=_turn(turns, place - 1),
        reply=reply,
        later=_turn(turns, place + 2),
        confirmed=confirmed,
        by_subject=speaks and person_key(speaker_of(dialogue)) == person_key(statement.fact.subject),
    )


def speaker_of(dialogue: Dialogue) -> str:
    """Who the user is: named by the source, or by a turn such as ``I'm Ann Reed``; empty where unknown."""
    if dialogue.person:
        return dialogue.person
    for turn in dialogue.turns:
        if turn.role == "user" and (found := _INTRODUCES.search(turn.text)):
            return found[1].rstrip(".")
    return ""


def _turn(turns: tuple[Turn, ...], number: int) -> str:
    return turns[number].text if 0 <= number < len(turns) else ""


def _asks(sentence: str, rest: tuple[str, ...]) -> bool:
    """Whether a sentence asks, or is followed by a question that asks for a yes to it."""
    return sentence.rstrip('"”’)').endswith("?") or bool(rest and says("tag", rest[0]))


def claimed(talk: Talk, *, may_end: bool) -> str:
    """Why a statement is not claimed to be so, as the end of a sentence; empty where it is claimed.

    `may_end`: what was so may be so no longer, as with a home but not with a place of birth.
    """
    after = (*talk.rest, *sentences(talk.later)[:1])
    head = _until(talk.sentence, talk.value)
    last = not talk.rest or says("tag", talk.rest[0])
    if any(says("joke", part) for part in (talk.sentence, *after)):
        return "it was said as a joke"
    if not talk.by_subject and last and _begins("no", talk.reply):
        return "it was denied at once"
    if says("unreal", head):
        return "it is a wish, a plan or a story"
    if may_end and says("past", head, talk.value):
        return "it is said to have ended"
    if _denies(talk.sentence, talk.value):
        return "the words deny it"
    disowned = re.search(_DISOWNED + _pattern_of(talk.value), _plain(talk.sentence), re.IGNORECASE)
    if disowned and says("strong", talk.near):
        return "it is named as a mistake"
    return ""


def doubted(talk: Talk) -> str:
    """Why it is not sure that a statement is meant, as the end of a sentence; empty where it is."""
    if talk.confirmed:
        return ""
    bare = len(re.findall(r"\w+", talk.sentence)) <= len(re.findall(r"\w+", talk.value))
    if _asks(talk.sentence, talk.rest) and not (bare and talk.rest):
        return "it was asked, and nobody said yes to it"
    if says("guess", talk.sentence, talk.value):
        return "it was said as a guess or as hearsay"
    return ""


def corrects(talk: Talk, held: str, *, may_change: bool) -> bool:
    """Whether the talk marks a statement as a correction of the value that is held."""
    near = sentences(talk.near)
    if any(says("strong", part) or _denies(part, held) or _calls_wrong(part, talk, held) for part in near):
        return True
    if _begins("no", (*talk.lead, talk.sentence)[0]) and holds(talk.before, held):
        return True
    alone = talk.lead[-1:] if talk.lead and len(talk.lead[-1].split()) <= _SHORT else ()
    weak = any(says("weak", part) for part in (*alone, talk.sentence))
    return talk.by_subject and (weak or (may_change and says("change", talk.sentence)))


def _calls_wrong(part: str, talk: Talk, held: str) -> bool:
    """Whether a sentence says that something is wrong that was said of the person, not the heating."""
    about = part == talk.sentence or holds(part, held) or holds(part, talk.subject)
    points = re.search(r"\b(that|this|it)('s| is| was)? ", _plain(part), re.IGNORECASE) is not None
    return says("wrong", part) and (about or points)


def names_another(talk: Talk, subject: str) -> bool:
    """Whether the talk is about another person of the same name."""
    return says("namesake", talk.near, subject)


def weight(talk: Talk) -> int:
    """What the form of a statement adds to its importance, or takes from it."""
    return 2 * says("stressed", talk.near) - 4 * says("passing", talk.sentence)


def _until(sentence: str, value: str) -> str:
    """A sentence up to the end of a value, or the whole where the value is not in it."""
    found = re.search(rf"(?<!\w){_pattern_of(value)}(?!\w)", text := _plain(sentence), re.IGNORECASE)
    return text[: found.end()] if found else text


def _denies(sentence: str, value: str) -> bool:
    """Whether a sentence says that something is not this value; ``not until X`` does not."""
    text = _plain(sentence)
    found = re.search(rf"{_NOT}(?<!\w){_pattern_of(value)}(?!\w)", text, re.IGNORECASE)
    return found is not None and not re.search(r"\buntil\b", text[found.start() :], re.IGNORECASE)
