"""The objects of a user's JSONL, read strictly: what another reader may read otherwise is a fault.

`lines.py` makes records of them, `text.py` documents.
"""

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from engine.disk.jsonl import LineError, numbered_lines, object_in

_NEAR = 0.84
"""Likeness from which an unknown key is taken for a mistyped one."""
_SHOWN, _SHOWN_KEYS = 40, 80
"""Characters of a value, and of keys, that a message shows at most."""
_NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFault:
    """A line that cannot be used."""

    file: str
    number: int
    """0 where the file as a whole is at fault."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}{f', line {self.number}' if self.number else ''}: {self.reason}"


class NotARecord(LineError):
    """Why a line, or the text of a file, cannot be used."""


def read_objects(
    name: str, faults: list[LineFault], take: Callable[[dict[str, Any], int], None], *, what: str = "record"
) -> None:
    """Give each object of a file to `take`, with the number of its line.

    A line that is no object, or for which `take` raises NotARecord, becomes one of `faults`; so does a file
    that cannot be read or holds no object, which is called by `what` it should hold.
    """
    try:
        rows = numbered_lines(Path(name))
    except OSError as error:
        faults.append(LineFault(file=name, number=0, reason=f"cannot be read: {error.strerror}"))
        return
    if not rows:
        reason = f"holds no {what}; the file has one JSON object a line"
        faults.append(LineFault(file=name, number=0, reason=reason))
    for number, row in rows:
        try:
            take(
                object_in(row, number, parse_constant=_no_constant, parse_int=Number, parse_float=_finite),
                number,
            )
        except LineError as fault:
            faults.append(LineFault(file=name, number=number, reason=str(fault)))


def require_no_mistyped(record: Mapping[str, Any], known: Set[str]) -> None:
    """Let unknown keys pass, but for those that look like a mistyped one of `known`. Raises NotARecord."""
    for key in sorted(record.keys() - known):
        missing, letters = known - record.keys(), sorted(key.strip().casefold())
        # Of a short key capitals or two letters that are swapped, as in "spilt", leave little likeness.
        near = [each for each in missing if sorted(each) == letters] or difflib.get_close_matches(
            key, missing, n=1, cutoff=_NEAR
        )
        if near:
            raise NotARecord(f"unknown key '{key}'; did you mean '{near[0]}'?")


def require_text(text: str, what: str) -> None:
    """Raises NotARecord for text that holds a character which is none; `what` names the text."""
    if found := _NO_TEXT.search(text):
        raise NotARecord(f"{what} holds the character {ascii(found[0])}, which is no text")


class Number(str):
    """A number as it is written: 3.50 stays 3.50, and an integer of any length can be read."""


def _finite(text: str) -> Number:
    if not math.isfinite(float(text)):
        raise NotARecord(f"the number {text[:20]} is too large")
    return Number(text)


def _no_constant(name: str) -> NoReturn:
    raise NotARecord(f"{name} is not valid JSON")


def text_or_nothing(record: Mapping[str, Any], key: str) -> str:
    """The text of a key that a record may leave out; empty where it does. Raises NotARecord."""
    value = record.get(key)
    return "" if value is None else text_of(value, key, may_be_number=True).strip()


def text_of(value: Any, key: str, *, may_be_number: bool = False) -> str:
    """The text that a key holds. Raises NotARecord where it is none, or is empty."""
    if isinstance(value, Number):
        if not may_be_number:
            raise NotARecord(f"'{key}' must be text, got {shown(value)}")
        return str(value)
    if not isinstance(value, str):
        wanted = "text or a number" if may_be_number else "text"
        raise NotARecord(f"'{key}' must be {wanted}, got {shown(value)}")
    require_text(value, f"'{key}'")
    if not value.strip():
        raise NotARecord(f"'{key}' must not be empty")
    return value


def messages_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages of a chat, each with role and content. Raises NotARecord where they are none."""
    messages = record["messages"]
    is_list = isinstance(messages, list) and messages
    if not is_list or not all(
        isinstance(each, dict) and {"role", "content"} <= each.keys() for each in messages
    ):
        raise NotARecord(f"'messages' must be a list of objects with role and content, got {shown(messages)}")
    found: list[dict[str, Any]] = messages
    return found


def dumped(value: Any) -> str:
    """JSON for a value that was read: numbers are written as they stood."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {dumped(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(dumped, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def shown(value: Any) -> str:
    """A value for a message, at most 40 characters of it."""
    text = repr(value) if isinstance(value, str) and not isinstance(value, Number) else dumped(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def got(value: Any) -> str:
    """A value for a reason: as it stands if it is short, otherwise what it is.

    Reasons are kept, and private data cannot be recognised in a piece that is cut.
    """
    text = shown(value)
    if not text.endswith("…"):
        return text
    if isinstance(value, str):
        return "a number" if isinstance(value, Number) else "a text"
    return "an object" if isinstance(value, dict) else "a list"


def keys_of(record: Mapping[str, Any]) -> str:
    """The keys that a record has, as many as 80 characters hold, for a message about one that it lacks."""
    names = ", ".join(sorted(record))
    if len(names) > _SHOWN_KEYS:
        # Such messages are reasons too.
        names = names[: _SHOWN_KEYS + 2].rpartition(", ")[0] or "longer ones"
    return f"; it has {names or 'none'}"
