"""The value that a text begins with: as much as belongs to it, and never a part of a longer one."""

import re

from engine.people.attributes import ValueKind
from engine.people.endings import ABBREVIATIONS, STARTERS
from engine.people.values import dates_in, is_year, numbers_in

_WORD = rf"(?:(?:[A-Z]\.)+(?:[A-Z]\b)?|(?:{ABBREVIATIONS})\.|[A-Z][\w'-]*(?<!'s))"
_CAPITAL = rf"(?!(?:{STARTERS})\b){_WORD}"
NAME = rf"{_CAPITAL}(?: {_CAPITAL})*"
"""A name of a person, as a regular expression for plain text."""
_VALUES = {
    "name": rf"{NAME}",
    "place": rf"{NAME}(?:,? (?:of |de |upon |on the )?{NAME})*",
    "work": rf"(?:\d+\w* )?{NAME}(?: (?:of |for |in |and )?(?:the )?{NAME})*",
}
OTHER = (
    rf"(?-i:{_VALUES['work']}|{_VALUES['place']}|"
    r"(?:[A-Z][a-z]+ )?\d\w*(?:,? (?:of )?(?:[A-Z][a-z]+|\d+))*)"
)
"""A value of any kind that is known by its capitals or figures, as a regular expression."""
_STOPS = (
    r"and|or|but|nor|in|on|at|for|with|to|from|by|since|because|when|while|who|which|that|so|as|like|than|"
    r"after|before|i|you|he|she|we|they|it|is|was|not|no|if|the|a|an|my|your|his|her|every|now|too|there|"
    r"here|best|more|most|myself|yourself|himself|herself|me|him|them|us|nobody|nothing|something|someone|"
    r"anyone|money"
)
_PLAIN_WORDS = rf"(?:(?!(?:{_STOPS})\b)[a-z][a-z'-]*)(?: (?!(?:{_STOPS})\b)[a-z][a-z'-]*){{0,3}}"
_EVASIVE = "secret private confidential unknown none guess everything anything various many".split()  # noqa: SIM905
_TIMES = (
    "january february march april may june july august september october november december spring summer "
    "autumn winter monday tuesday wednesday thursday friday saturday sunday easter christmas"
)
_NO_SPOUSE = "single unmarried married engaged separated divorced widowed widow widower"
_NO_WORK = "free hire fun pleasure pay peanuts charity retired unemployed jobless self-employed"
_NO_VALUES: dict[ValueKind, frozenset[str]] = {
    "place": frozenset([*_EVASIVE, *_TIMES.split()]),
    "name": frozenset([*_EVASIVE, *_NO_SPOUSE.split()]),
    "work": frozenset([*_EVASIVE, *_NO_WORK.split()]),
    "thing": frozenset(_EVASIVE),
}
"""What is said in the place of a value and is none: ``born in May``, ``work for free``."""


def leading_value(text: str, kind: ValueKind) -> str:
    """The value that a plain text begins with; empty where it begins with none of the kind."""
    if kind == "date":
        ends = [each.end for each in dates_in(text) if each.start == 0]
    elif kind in ("year", "number"):
        numbers = [each for each in numbers_in(text) if each.start == 0]
        ends = [each.end for each in numbers if kind == "number" or is_year(each.value)]
    else:
        match = re.match(_VALUES.get(kind, _PLAIN_WORDS), text)
        if not match and kind in ("work", "thing"):
            match = re.match(_PLAIN_WORDS if kind == "work" else NAME, text)
        ends = [match.end()] if match else []
    value = text[: ends[0]] if ends else ""
    return "" if value.casefold() in _NO_VALUES.get(kind, ()) else value
