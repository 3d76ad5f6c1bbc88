"""A user's own questions and answers as the words of an attribute, beside those that are built in."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from engine.people.attributes import ATTRIBUTES, Attribute, ValueKind
from engine.people.values import date_of, is_year, number_of
from engine.people.values import words as words_in
from engine.people.wordings import PARTS, Part, Words, built_in_premises, built_in_words

_BLANK = re.compile(r"\{(\w+)\}")
_HELD_BACK: tuple[Part, ...] = ("sealed", "gate", "select")
"""Parts that get one of a user's questions each, where there are enough of them; the others are learnt."""
_PAST_WORDS = (
    "was won had got did went became wrote made took gave led left began held taught met ran sold built grew "
    "studied passed"
)
_PAST = frozenset(_PAST_WORDS.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Questions about one thing, and the answer to them in the person's own words."""

    key: str
    questions: tuple[str, ...]
    answer: str
    keywords: tuple[str, ...]
    """What the answer must hold; it says which blank of several is asked for."""


def sorted_out(
    templates: Sequence[Template], known: Collection[str]
) -> tuple[dict[str, list[Template]], list[str]]:
    """Templates by the attribute that they ask for, of which `known` can be; and why others cannot be used.

    A template asks for the attribute that it is named after, or for the only one among its keywords.
    Questions that hold another blank than the name are false premises.
    """
    asked: dict[str, list[Template]] = {}
    left_out: list[str] = []
    for template in templates:
        blanks = [blank for text in template.keywords for blank in _BLANK.findall(text) if blank != "name"]
        keys = [template.key] if template.key in known else list(dict.fromkeys(blanks))
        if _is_premise(template):
            # The longest: correction_birth_year is about the year of birth, where there also is a year.
            keys = sorted((key for key in known if template.key.endswith(key)), key=len)[-1:]
        usable = [key for key in keys if key in known]
        if len(keys) == 1 == len(usable):
            asked.setdefault(keys[0], []).append(template)
        else:
            left_out.append(f"{template.key} {_why_not(keys, known)}")
    return asked, left_out


def _why_not(keys: Sequence[str], known: Collection[str]) -> str:
    if not keys:
        return "asks for no fact"
    if unknown := [key for key in keys if key not in known]:
        return f"asks for {unknown[0]}, for which there is no extractor"
    return f"asks for several facts at once ({', '.join(keys)})"


def attribute_of(key: str, values: Sequence[str]) -> Attribute:
    """An attribute that is not built in, from the values that it has."""
    return Attribute(key=key, title=key.replace("_", " "), kind=_kind_of(values))


def _kind_of(values: Sequence[str]) -> ValueKind:
    kinds: tuple[ValueKind, ...] = ("date", "year", "number")
    fitting = [kind for kind in kinds if all(fits(kind, value) for value in values)]
    if fitting:
        return fitting[0]
    return "thing" if all(value[:1].islower() for value in values) else "work"


def fits(kind: ValueKind, value: str) -> bool:
    """Whether a value is written as those of a kind are."""
    number = number_of(value)
    if kind == "date":
        return date_of(value) is not None
    if kind == "year":
        return number is not None and is_year(number)
    return (number is not None) == (kind == "number") and date_of(value) is None


def words_of(attribute: Attribute, templates: Sequence[Template]) -> Words:
    """The words of an attribute with a user's templates beside those that are built in.

    Of each template's questions one goes to each part that judges, where there are four or more, and the
    others are learnt. A question that is there already, built in or in another template, is left where it is,
    so that no wording about an attribute is in two parts.
    """
    words = built_in_words(attribute.key)
    asks = {part: list(words.asks[part]) for part in PARTS}
    corrections: dict[Part, list[str]] = {part: [] for part in PARTS}
    states, says = list(words.states), list(words.says)
    for template in templates:
        if not _is_premise(template) and (said := _own_sentence(template, attribute.key)):
            says = [said, *(each for each in says if each != said)]
            if (state := third_person(said)) and state not in states:
                states.append(state)
    built_in = (ask for part in PARTS for ask in (*words.asks[part], *built_in_premises(states, part)))
    taken = {_folded(ask.replace("{title}", attribute.title)) for ask in built_in}
    for template in templates:
        if _is_premise(template):
            premises = [_BLANK.sub(_value_blank, each) for each in template.questions]
            own = [each for each in premises if each.count("{value}") == 1]
        else:
            own = [each for each in template.questions if set(_BLANK.findall(each)) == {"name"}]
        fresh = {folded: each for each in own if (folded := _folded(each)) not in taken}
        taken |= fresh.keys()
        _dealt(list(fresh.values()), corrections if _is_premise(template) else asks)
    if attribute.key not in ATTRIBUTES:
        # The user's own sentence is the best answer; what is built in for any attribute reads less well.
        states = states[::-1]
    return Words(
        states=tuple(states),
        says=tuple(says),
        asks={part: tuple(each) for part, each in asks.items()},
        verb=words.verb,
        corrections={part: tuple(each) for part, each in corrections.items()},
    )


def _is_premise(template: Template) -> bool:
    return any(set(_BLANK.findall(question)) - {"name"} for question in template.questions)


def _value_blank(match: re.Match[str]) -> str:
    return match[0] if match[1] == "name" else "{value}"


def _dealt(questions: Sequence[str], parts: Mapping[Part, list[str]]) -> None:
    """Add questions to parts, most of them to what is learnt."""
    left = list(questions)
    for part in _HELD_BACK if len(left) > len(_HELD_BACK) else ():
        parts[part].append(left.pop())
    parts["dream"].extend(left)


def _folded(question: str) -> str:
    return " ".join(word for word in words_in(question) if word[:1].isalnum())


def _own_sentence(template: Template, key: str) -> str:
    """The answer up to the value, with ``{value}`` in its place; empty where another blank comes first."""
    for sentence in re.split(r"(?<=[.!?])\s+", template.answer):
        blanks = list(_BLANK.finditer(sentence))
        if blanks and blanks[0][1] == key:
            rest = sentence[blanks[0].end() :] if len(blanks) == 1 else "."
            return f"{sentence[: blanks[0].start()]}{{value}}{rest}"
    return ""


def reads_of(templates: Sequence[Template], key: str) -> tuple[str, ...]:
    """The sentences of all answers that hold the value of an attribute beside others (`Words.reads`)."""
    found = []
    for template in templates:
        for sentence in re.split(r"(?<=[.!?])\s+", template.answer):
            before, blank, after = sentence.partition(f"{{{key}}}")
            if blank and _BLANK.search(before):
                found.append(f"{_BLANK.sub('{other}', before)}{{value}}{_BLANK.split(after)[0]}")
    return tuple(dict.fromkeys(found))


def third_person(says: str) -> str:
    """What somebody says of themselves, as it is said of them; empty where it is not clear how."""
    match = re.fullmatch(r"(I am|I'm|I have|I|My) (.*)", says)
    if not match or re.search(r"\b(?:I|my|me|we|our|us)\b", match[2]):
        return ""
    begins, rest = match[1], match[2]
    if begins == "My":
        return f"{{name}}'s {rest}"
    if begins in ("I am", "I'm"):
        return f"{{name}} is {rest}"
    if begins == "I have":
        return f"{{name}} has {rest}"
    verb = rest.split()[0]
    if verb in _PAST or verb.endswith("ed"):
        return f"{{name}} {rest}"
    return f"{{name}} {verb}s {rest.partition(' ')[2]}" if verb.isalpha() else ""
