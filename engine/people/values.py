"""Values as they are written: words, numbers, years and dates, with what makes two of them one value.

Everything is read from the tokens of a text, so that a value is never found inside another word: ``1867`` is
not in ``18671``, ``no`` is not in ``know``.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]|_")
_NUMBER = r"(?<![\w.,])(?:[0-9]{1,3}(?:,[0-9]{3}){1,5}|[0-9]{1,18})(?:\.[0-9]+)?(?!\w|[.,][0-9])"
"""With more digits before the point it is no number that is meant, and Python may refuse to read it."""
_MONTH_NAMES = "january february march april may june july august september october november december"
_MONTHS = _MONTH_NAMES.split()
MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FEBRUARY = 2
_MONTH = "|".join([*_MONTHS, *(month[:3] for month in _MONTHS if month != "may"), "sept"])
_DAY = r"(?P<day>[0-3]?[0-9])(?:st|nd|rd|th)?"
_YEAR = r"(?:,?\s*(?P<year>[0-9]{4})(?!\w))?"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<![\w.,])(?:the\s+)?{_DAY}\s+(?:of\s+)?(?P<month>{_MONTH})\b\.?{_YEAR}",
        rf"\b(?P<month>{_MONTH})\b\.?\s+(?:the\s+)?{_DAY}(?!\w){_YEAR}",
        r"(?<![\w.,/-])(?P<year>[0-9]{4})-(?P<month>[01]?[0-9])-(?P<day>[0-3]?[0-9])(?![\w-])",
        r"(?<![\w.,/-])(?P<day>[0-3]?[0-9])\.(?P<month>[01]?[0-9])\.(?P<year>[0-9]{4})(?![\w.]\w)",
        r"(?<![\w.,/-])(?P<one>[0-3]?[0-9])/(?P<other>[0-3]?[0-9])/(?P<year>[0-9]{4})(?![\w/])",
    )
)
"""Day and month by name, ISO 8601, points (day first), strokes (only where they can be read in one way)."""
_UNIT_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENS_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINAL_WORDS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_SMALL = {word: number for number, word in enumerate(_UNIT_WORDS.split())} | {
    word: 10 * number for number, word in enumerate(_TENS_WORDS.split(), start=2)
}
_ORDINALS = {word: number for number, word in enumerate(_ORDINAL_WORDS.split(), start=1)} | {"thirtieth": 30}
_NUMERAL = "|".join([*_SMALL, "hundred", "thousand"])
_IN_WORDS = re.compile(rf"\b(?:{_NUMERAL})(?:(?:[\s-]+|\s+and\s+|\s+oh[\s-]+)(?:{_NUMERAL}))*\b", re.I)
_ORDINAL = rf"(?:(?P<tens>twenty|thirty)[\s-])?(?P<unit>{'|'.join(_ORDINALS)})"
_ORDINAL_DATES = (
    re.compile(rf"\b(?:the\s+)?{_ORDINAL}\s+(?:of\s+)?(?P<month>{_MONTH})\b{_YEAR}", re.I),
    re.compile(rf"\b(?P<month>{_MONTH})\s+(?:the\s+)?{_ORDINAL}\b{_YEAR}", re.I),
)
_FIRST_YEAR, _LAST_YEAR = 1000, 2999
_LETTERS = str.maketrans(
    {"Ł": "L", "ł": "l", "Ø": "O", "ø": "o", "Đ": "D", "đ": "d", "Ð": "D", "ð": "d", "Þ": "Th", "þ": "th"}
    | {"Æ": "Ae", "æ": "ae", "Œ": "Oe", "œ": "oe", "ß": "ss", "ı": "i"}
)
"""Letters that are no other ones with an accent, as they are written where they are missing."""
_KEPT = 4096
"""Texts whose reading is remembered: the same values are compared again and again."""


@dataclass(frozen=True, slots=True)
class Date:
    """A day of the year, and the year where it was said."""

    day: int
    month: int
    year: int | None = None

    def answers(self, wanted: "Date") -> bool:
        """Whether it is the wanted date; a year that was not asked for does not count."""
        return (self.day, self.month) == (wanted.day, wanted.month) and wanted.year in (None, self.year)

    def __str__(self) -> str:
        year = f" {self.year}" if self.year else ""
        return f"{self.day} {_MONTHS[self.month - 1].capitalize()}{year}"


V = TypeVar("V", int | float, Date)


@dataclass(frozen=True, slots=True)
class Found(Generic[V]):
    """A number or date in a text, from character `start` to `end`."""

    value: V
    start: int
    end: int


def composed(text: str) -> str:
    """A text as it is spelled, each letter with its accent one character; quotes, dashes and digits plain."""
    text = unicodedata.normalize("NFKC", text)
    return re.sub(r"[‐‑‒–—−]", "-", text.replace("’", "'").replace("‘", "'"))


def plain(text: str) -> str:
    """A text with one form for each character: no accents, plain quotes and digits, in its own case."""
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", composed(text))
    return "".join(char for char in decomposed if not unicodedata.combining(char)).translate(_LETTERS)


def as_spelled(part: str, text: str) -> str:
    """A part of `plain(text)` with the letters that a composed text has there; its first case stays."""
    found = re.search(rf"(?<!\w){re.escape(part)}(?!\w)", plain(text), re.IGNORECASE)
    if text.isascii() or not found:
        return part
    places = [place for place, char in enumerate(text) for _ in plain(char)]
    spelled = text[places[found.start()] : [*places, len(text)][found.end()]]
    return spelled[:1].lower() + spelled[1:] if part[:1].islower() else spelled


def words(text: str) -> list[str]:
    """The words and signs of a text, folded for comparison; a possessive counts as the word itself."""
    return [word for word, _, _ in _tokens(text)]


def places_of(phrase: str, text: str) -> list[tuple[int, int]]:
    """The ranges of characters in which the whole words of a phrase follow each other, signs apart."""
    wanted = _folded(phrase)
    tokens = [token for token in _tokens(text) if token[0][:1].isalnum()]
    found = [word for word, _, _ in tokens]
    return [
        (tokens[start][1], tokens[start + len(wanted) - 1][2])
        for start in range(len(tokens) - len(wanted) + 1)
        if wanted and found[start : start + len(wanted)] == wanted
    ]


@lru_cache(maxsize=_KEPT)
def _tokens(text: str) -> tuple[tuple[str, int, int], ...]:
    """The words and signs of a text, folded, with the places where each begins and ends."""
    return tuple(
        (re.sub(r"'s?$", "", match[0].casefold()), match.start(), match.end())
        for match in _WORD.finditer(plain(text))
    )


def dates_in(text: str) -> list[Found[Date]]:
    """The dates of a text, in any common form that can be read in one way, in their order."""
    text = plain(text)
    found: list[Found[Date]] = []
    for pattern in (*_DATES, *_ORDINAL_DATES):
        for match in pattern.finditer(text):
            date = _date_of(match.groupdict())
            overlaps = any(match.start() < each.end and each.start < match.end() for each in found)
            if date and not overlaps:
                found.append(Found(date, match.start(), match.end()))
    return sorted(found, key=lambda each: each.start)


def numbers_in(text: str) -> list[Found[int | float]]:
    """The numbers of a text in figures or words, in their order; those of a date are not among them.

    Years are numbers: ``nineteen sixty-seven`` is 1967.
    """
    text = plain(text)
    dates = dates_in(text)

    def free(start: int, end: int) -> bool:
        return not any(start < each.end and each.start < end for each in dates)

    found: list[Found[int | float]] = [
        Found(_figures(match[0]), match.start(), match.end())
        for match in re.finditer(_NUMBER, text)
        if free(match.start(), match.end())
    ]
    for match in _IN_WORDS.finditer(text):
        value = _in_words(match[0])
        if value is not None and free(match.start(), match.end()):
            found.append(Found(value, match.start(), match.end()))
    return sorted(found, key=lambda each: each.start)


@lru_cache(maxsize=_KEPT)
def date_of(text: str) -> Date | None:
    """The date that a whole text is; None where it is anything else."""
    found = dates_in(text)
    whole = len(found) == 1 and (found[0].start, found[0].end) == (0, len(plain(text).strip(" .,")))
    return found[0].value if whole else None


@lru_cache(maxsize=_KEPT)
def number_of(text: str) -> int | float | None:
    """The number that a whole text is; None where it is anything else."""
    found = numbers_in(text)
    whole = len(found) == 1 and (found[0].start, found[0].end) == (0, len(plain(text).strip(" .,")))
    return found[0].value if whole else None


def is_year(value: object) -> bool:
    """Whether a number can be a year."""
    return isinstance(value, int) and _FIRST_YEAR <= value <= _LAST_YEAR


def same(one: str, other: str) -> bool:
    """Whether two values are one, however they are written."""
    if (date := date_of(one)) is not None:
        return date == date_of(other)
    if (number := number_of(one)) is not None:
        return number == number_of(other)
    return _folded(one) == _folded(other)


def _folded(text: str) -> list[str]:
    return [each for each in words(text) if each[:1].isalnum()]


def _date_of(parts: dict[str, str | None]) -> Date | None:
    said = parts.get("year")
    year = int(said) if said else None
    if (one := parts.get("one")) and (other := parts.get("other")):
        first, second = int(one), int(other)
        if first != second and first <= 12 and second <= 12:
            return None
        day, month = (second, first) if second > 12 else (first, second)
    elif unit := parts.get("unit"):
        tens = {"twenty": 20, "thirty": 30}.get((parts["tens"] or "").lower(), 0)
        day, month = tens + _ORDINALS[unit.lower()], _month(parts["month"] or "")
    else:
        day, month = int(parts["day"] or 0), _month(parts["month"] or "")
    exists = 1 <= month <= 12 and 1 <= day <= MONTH_LENGTHS[month - 1] + (month == _FEBRUARY)
    return Date(day, month, year) if exists else None


def _month(text: str) -> int:
    if text.isdecimal():
        return int(text)
    return next(number for number, name in enumerate(_MONTHS, 1) if name.startswith(text.lower()[:3]))


def _figures(text: str) -> int | float:
    text = text.replace(",", "")
    value = float(text) if "." in text else int(text)
    return int(value) if value == int(value) else value


def _in_words(text: str) -> int | None:
    """A number in words, as it is counted or as a year is said; None where the words are no number."""
    parts = [part for part in re.split(r"[\s-]+", text.lower()) if part not in ("and", "oh")]
    total, hundreds, current = 0, 0, 0
    said: list[int] = []
    for part in parts:
        if part == "thousand":
            total, hundreds, current = total + 1000 * (hundreds + current or 1), 0, 0
            said = []
        elif part == "hundred":
            hundreds, current = hundreds + 100 * (current or 1), 0
            said = []
        else:
            value = _SMALL[part]
            joins = current >= 20 and current % 10 == 0 and 0 < value < 10
            if current and not joins:
                # "nineteen sixty-seven": the next group begins.
                said.append(current)
                current = 0
            current += value
    if said:
        if len(said) == 1 and not total and not hundreds and 10 <= said[0] <= 29 and current < 100:
            return 100 * said[0] + current
        return None
    return total + hundreds + current
