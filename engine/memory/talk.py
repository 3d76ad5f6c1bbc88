"""What the talk around a statement says about it: a guess, a joke, a denial, a correction.

Each reading is by the phrases in phrases.yaml, so that a decision can be explained and repeated.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.memory.book import person_key
from engine.people.attributes import Attribute
from engine.people.endings import sentences
from engine.people.speakers import speaker_of
from engine.people.values import date_of, dates_in, number_of, numbers_in, places_of, plain
from engine.records import Dialogue, Statement, Turn

_NOT = (
    r"\b(not|\w+n't|never(?! (?:thought|knew|expected|imagined))|no longer|neither|nor|nobody|instead of"
    r"|rather than)\b(?! only)"
    r"(?:(?! - |\b(?:but|and|because|so|since|that|who|which|where|when|if)\b)[^,.;:!?]){0,200}?"
)
"""A word that denies what follows it in its clause, as far as 200 characters on."""
_DISOWNED = r"\b(did i say|i said|i told you|you said|you wrote|i thought|you thought)\b[^.:;!?]{0,40}?"
_NEAR = 2
"""Sentences before and after a statement, of the same turn, in which its speaker may correct something."""
_BETWEEN = re.compile(r"[,;:.!?…]+(?:\s+|$)|\s-+\s+|\s(?:and|but|so)\s+")
"""What stands between two clauses."""


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
    latest = re.split(r"(?:\bbut|;)\s", head)[-1]
    last = not talk.rest or says("tag", talk.rest[0])
    if any(says("joke", part) for part in (talk.sentence, *after)):
        return "it was said as a joke"
    if not talk.by_subject and last and _begins("no", talk.reply):
        return "it was denied at once"
    if says("unreal", latest):
        return "it is a wish, a plan or a story"
    if may_end and says("past", latest, talk.value) and not _is_present(talk):
        return "it is said to have ended"
    if _denies(talk.sentence, talk.value):
        return "the words deny it"
    disowned = re.search(_DISOWNED + _pattern_of(talk.value), _plain(talk.sentence), re.IGNORECASE)
    if disowned and says("strong", talk.near):
        return "it is named as a mistake"
    return ""


def _is_present(talk: Talk) -> bool:
    """Whether the clause of the value says that it is so now, and what has ended stands in another one."""
    _, clause, _ = _around(talk.sentence, talk.value)
    return says("present", clause) and not says("past", clause, talk.value)


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


def corrects(talk: Talk, held: str, *, attribute: Attribute, may_change: bool) -> bool:
    """Whether the talk marks a statement as a correction of the value that is held.

    Whoever says it, the words may deny that value, call it wrong, or call wrong what was said of the person.
    Only of the person itself it counts that a mistake is admitted, which may be a mistake at work.
    """
    near = sentences(talk.near)
    if any(_denies(part, held) or (_says_wrong(part) and holds(part, held)) for part in near):
        return True
    if _begins("no", (*talk.lead, talk.sentence)[0]) and holds(talk.before, held):
        return True
    about = rf"\babout {_pattern_of(talk.subject)}(?!\w)"
    before, clause, after = _around(talk.sentence, talk.value)
    reports = before.rpartition(":")[0]
    blamed = [part for part in near if re.search(about, _plain(part), re.IGNORECASE)]
    if any(says("wrong", part) for part in (reports, *blamed)):
        return True
    if not talk.by_subject:
        return False
    if says("strong", clause) or says("strong", reports) or says("weak", clause):
        return True
    asides = [before, after, *talk.lead[-1:]]
    beside = [*_clauses(before)[-1:], *_clauses(after)[:1], *talk.lead[-1:]]
    admits = any(_says_only("admits", text, attribute) for text in asides)
    is_weak = any(_says_only("weak", text, attribute) for text in beside)
    return admits or is_weak or (may_change and says("change", talk.sentence))


def _says_wrong(part: str) -> bool:
    return says("strong", part) or says("wrong", part)


def _says_only(name: str, text: str, attribute: Attribute) -> bool:
    """Whether a text holds a phrase of a list and nothing but fillers; ATTRIBUTE stands for its names."""
    lists = _phrases()
    titles = [_pattern_of(each) for each in (attribute.title, *attribute.aliases)]
    titles.append(rf"{attribute.key.split('_')[0]}\w*")
    phrase = lists[name].replace("ATTRIBUTE", rf"(?:{'|'.join(titles)})")
    filler = rf"(?:{lists['filler']}|{lists['weak']})"
    aside = rf"(?:{filler} )*(?:(?:{phrase})|{filler})(?: {filler})*"
    clauses = _clauses(_plain(text))
    if not all(re.fullmatch(aside, each, re.IGNORECASE) for each in clauses):
        return False
    return any(re.search(rf"(?<!\w)(?:{phrase})(?!\w)", each, re.IGNORECASE) for each in clauses)


def _clauses(text: str) -> list[str]:
    return [part.strip() for part in _BETWEEN.split(text) if part.strip()]


def _around(sentence: str, value: str) -> tuple[str, str, str]:
    """The clause of a sentence that holds a value, with what stands before it and after it."""
    text = _plain(sentence)
    found = re.search(rf"(?<!\w){_pattern_of(value)}(?!\w)", text, re.IGNORECASE)
    if not found:
        return "", text, ""
    breaks = list(_BETWEEN.finditer(text))
    start = max((each.end() for each in breaks if each.end() <= found.start()), default=0)
    end = min((each.start() for each in breaks if each.start() >= found.end()), default=len(text))
    return text[:start], text[start:end], text[end:]


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
