r"""Where the answer stands in a text: everywhere, in the last line, in ``\boxed{…}``, or after a marker.

A scorer finds a model's answer so in its reply, and a task of records the accepted answer in a gold one. Two
answers may differ in what does not count for a scorer, such as capitals.
"""

import json
import math
import re
import unicodedata
from fractions import Fraction
from typing import Any, NoReturn

from configs.scorers import After, AnyScorer, Choice, Contains, Exact, Find, Json, Numeric, Semantic

_BOXED = ("\\boxed", "\\fbox")
_PAIRED = re.compile(
    r"(?s)(\*{1,3})(?=[^\s*])(?P<slanted>[^*]*)(?<=[^\s*])\1|\"(?P<a>[^\"]*)\"|'(?P<b>[^']*)'|`+(?P<c>[^`]*)`+"
    r"|“(?P<d>[^“”]*)”|‘(?P<e>[^‘’]*)’|«(?P<f>[^«»]*)»|„(?P<g>[^„“”]*)[“”]"
)
"""A whole answer in quotes, or emphasized: one star of a pair, as in A*, belongs to it."""
_POINTS = re.compile(r"\A(?:[.,;:…]+\s+|…|\.{3})|(?:[.,;:?…]+|(?<=[^\W\d_]{2})!+)\Z")
"""A point, or points, at either end: .5 and 5! keep theirs."""
_PLAIN_NUMBER = re.compile(
    r"-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,30})(?:\.[0-9]{1,30})?|-?[0-9]{1,30}/[1-9][0-9]{0,29}"
)


def find_answer(text: str, find: Find) -> str:
    """The part of a text in which its answer is, stripped of blanks; empty where there is none."""
    if isinstance(find, After):
        return _after(text, find.after)
    match find:
        case "last_line":
            return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
        case "boxed":
            box = _box(text)
            return text[box[1] : box[2]].strip() if box else ""
    return text.strip()


def describe_find(find: str | After) -> str:
    """A way to find an answer, in words."""
    if isinstance(find, After):
        return f"what follows the last '{find.after}' in its line"
    words = {
        "whole": "the whole reply",
        "last_line": "the last line",
        "boxed": r"the last \boxed{…}",
        "last_number": "the last number",
    }
    return words[find]


def _after(text: str, marker: str) -> str:
    place = text.casefold().rfind(marker.casefold())
    # Case folding may change the length of a text; its places are then not those of the text.
    if len(text.casefold()) != len(text):
        place = text.rfind(marker)
    if place < 0:
        return ""
    rest = text[place + len(marker) :].lstrip(" \t").splitlines()
    return rest[0].strip() if rest else ""


def _box(text: str) -> tuple[int, int, int] | None:
    """Where the last box stands, where its content begins, whatever braces it holds, and where that ends.

    None where there is no box, or it is not closed.
    """
    place = max(text.rfind(word) for word in _BOXED)
    start = text.find("{", place)
    if place < 0 or start < 0 or text[place:start].rstrip() not in _BOXED:
        return None
    depth = 0
    for i in range(start, len(text)):
        if text[i] in "{}" and text[i - 1] != "\\":
            depth += 1 if text[i] == "{" else -1
            if not depth:
                return place, start + 1, i
    return None


def around_box(text: str) -> tuple[str, str]:
    """What stands before and after the last box that is closed; nothing where there is none."""
    box = _box(text)
    return (text[: box[0]], text[box[2] + 1 :]) if box else ("", "")


def normal(text: str, *, case: bool) -> str:
    """A text without what does not count: blanks, and points, quotes and emphasis around it."""
    before, text = "", unicodedata.normalize("NFC", text).strip()
    while text != before:
        before, text = text, _POINTS.sub("", text).strip()
        if paired := _PAIRED.fullmatch(text):
            text = next(each for name, each in paired.groupdict().items() if each is not None).strip()
    text = re.sub(r"\s+", " ", text)
    return text if case else text.casefold()


def json_value(text: str) -> Any:
    """The value of a JSON text that every reader reads alike.

    Raises ValueError for any other, such as one with NaN, a key given twice or a number that no float holds,
    and RecursionError.
    """
    return json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_once)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is given twice")
    return dict(pairs)


def equal_json(one: Any, other: Any) -> bool:
    """Whether two values are equal: 1 is 1.0 and not true, the order of keys does not count."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal_json(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal_json, one, other))
    return bool(one == other)


def are_one(scorer: AnyScorer, one: str, other: str) -> bool:
    """Whether two accepted answers are one answer to a scorer.

    Nothing is run for it: a function or a pattern of a user's own is taken to tell all texts apart, and
    `numeric` all but plain numbers. What is one here passes for the other there.
    """
    if one == other:
        return True
    match scorer:
        case Exact() | Contains():
            return _alike(one, other, case=scorer.case)
        case Choice():
            return _alike(one, other, case=False)
        case Numeric():
            return all(map(_PLAIN_NUMBER.fullmatch, (one, other))) and _value(one) == _value(other)
        case Json():
            return not scorer.equal or _equal_texts(one, other)
        case Semantic():
            # Its model reads no capitals.
            return " ".join(one.casefold().split()) == " ".join(other.casefold().split())
    return False


def _alike(one: str, other: str, *, case: bool) -> bool:
    """Whether two texts are one but for what does not count; points alone count as they stand."""
    return normal(one, case=case) == normal(other, case=case) != ""


def _value(number: str) -> Fraction:
    return Fraction(number.replace(",", ""))


def _equal_texts(one: str, other: str) -> bool:
    try:
        return equal_json(json_value(one), json_value(other))
    except (ValueError, RecursionError):
        return False
