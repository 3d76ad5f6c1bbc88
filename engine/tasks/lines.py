"""A user's JSONL, read strictly: every line is a record, or a fault with file, number and reason."""

import difflib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from configs.tasks import RecordsTask
from engine.answers import describe_find, find_answer
from engine.disk.jsonl import LineError, numbered_lines, object_in

PARTS = ("train", "probe", "gate", "sealed")
"""The parts that records are divided into, from which a campaign draws."""
JUDGING = "test"
"""The ``split`` of a record that may go to any part but train."""
SENTINEL = "sentinel"
"""The ``split`` of a record that no draw takes: what a model must not lose."""
SPLITS = (*PARTS, JUDGING, SENTINEL)
_NEAR = 0.84
"""Likeness from which an unknown key is taken for a mistyped one."""
_NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One record."""

    file: str
    number: int
    """Its line in the file, from 1."""
    id: str
    """The record's own; empty where it has none."""
    prompt: str
    system: str
    """The system message of its ``messages``; empty where there is none."""
    accepted: tuple[str, ...]
    reply: str
    """What the warm start learns; empty where the record has none that could be learnt."""
    slice: str
    story: str
    split: str

    @property
    def place(self) -> str:
        """Where the record is, for messages."""
        return f"{self.file}, line {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFault:
    """A line that is no record."""

    file: str
    number: int
    """0 where the file as a whole is at fault."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}{f', line {self.number}' if self.number else ''}: {self.reason}"


@dataclass(slots=True)
class FileRead:
    """What the lines of some files hold."""

    lines: list[Line] = field(default_factory=list)
    faults: list[LineFault] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    """Unknown keys, and how many records have each."""


class _NotARecord(LineError):
    """Why a line cannot be a record."""


def read_lines(settings: RecordsTask) -> FileRead:
    """All records of a task's files, in their order, and all lines that are none. It raises nothing."""
    read = FileRead()
    files = [settings.file] if isinstance(settings.file, str) else settings.file
    for name in dict.fromkeys(files):
        _read_file(name, settings, read)
    return read


def _read_file(name: str, settings: RecordsTask, read: FileRead) -> None:
    try:
        rows = numbered_lines(Path(name))
    except OSError as error:
        read.faults.append(LineFault(file=name, number=0, reason=f"cannot be read: {error.strerror}"))
        return
    for number, row in rows:
        try:
            record = object_in(
                row, number, parse_constant=_no_constant, parse_int=_Number, parse_float=_finite
            )
            read.lines.append(_line_of(record, name, number, settings))
            read.ignored.update(record.keys() - _known(settings))
        except LineError as fault:
            read.faults.append(LineFault(file=name, number=number, reason=str(fault)))
    if not rows:
        reason = "holds no record; the file has one JSON object a line"
        read.faults.append(LineFault(file=name, number=0, reason=reason))


class _Number(str):
    """A number as it is written: 3.50 stays 3.50, and an integer of any length can be read."""


def _finite(text: str) -> _Number:
    if not math.isfinite(float(text)):
        raise _NotARecord(f"the number {text[:20]} is too large")
    return _Number(text)


def _no_constant(name: str) -> NoReturn:
    raise _NotARecord(f"{name} is not valid JSON")


def _known(settings: RecordsTask) -> set[str]:
    fields = {settings.prompt, settings.answer, "messages", "slice", "story", "id", "split"}
    return fields | ({settings.reply} if settings.reply else set())


def _line_of(record: Mapping[str, Any], file: str, number: int, settings: RecordsTask) -> Line:
    known = _known(settings)
    for key in sorted(record.keys() - known):
        near = difflib.get_close_matches(key, known - record.keys(), n=1, cutoff=_NEAR)
        if near:
            raise _NotARecord(f"unknown key '{key}'; did you mean '{near[0]}'?")
    system, prompt = _asked(record, settings)
    accepted, raw = _answers(record, settings)
    split = _text_or_nothing(record, "split")
    if split and split not in SPLITS:
        raise _NotARecord(f"'split' must be one of {', '.join(SPLITS)}, got {_shown(split)}")
    return Line(
        file=file,
        number=number,
        id=_text_or_nothing(record, "id"),
        prompt=prompt,
        system=system,
        accepted=accepted,
        reply=_reply(record, settings, raw),
        slice=_text_or_nothing(record, "slice"),
        story=_text_or_nothing(record, "story"),
        split=split,
    )


def _asked(record: Mapping[str, Any], settings: RecordsTask) -> tuple[str, str]:
    """System message and question."""
    has_messages = settings.prompt != "messages" and "messages" in record
    if settings.prompt in record and has_messages:
        raise _NotARecord(f"must have '{settings.prompt}' or 'messages', got both")
    if settings.prompt in record and settings.prompt != "messages":
        return "", _text(record[settings.prompt], settings.prompt)
    if "messages" not in record:
        raise _NotARecord(f"missing key '{settings.prompt}'{_has(record)}")
    messages = record["messages"]
    is_list = isinstance(messages, list) and messages
    if not is_list or not all(
        isinstance(each, dict) and {"role", "content"} <= each.keys() for each in messages
    ):
        raise _NotARecord(
            "'messages' must be a list of objects with role and content, got " + _shown(messages)
        )
    roles = [each["role"] for each in messages]
    if roles not in (["user"], ["system", "user"]):
        raise _NotARecord(
            "'messages' must be one user message, after a system message or none, got the roles "
            f"{', '.join(map(str, roles))[:60]}: a model answers every turn itself"
        )
    texts = [_text(each["content"], f"content of {each['role']}") for each in messages]
    return (texts[0] if len(texts) > 1 else ""), texts[-1]


def _answers(record: Mapping[str, Any], settings: RecordsTask) -> tuple[tuple[str, ...], str]:
    """The accepted answers, and the first as it stands in the record."""
    key = settings.answer
    if key not in record:
        raise _NotARecord(f"missing key '{key}'{_has(record)}")
    given = record[key]
    if settings.scorer.name == "json":
        # A list is one value here; any JSON can be an answer.
        text = given if isinstance(given, str) and not isinstance(given, _Number) else _dumped(given)
        return (text,), text
    several = given if isinstance(given, list) else [given]
    if not several:
        raise _NotARecord(f"'{key}' must not be an empty list")
    raw = [_text(each, key, may_be_number=True) for each in several]
    accepted = []
    for text in raw:
        found = find_answer(text, settings.gold)
        if not found:
            where = describe_find(settings.gold).replace("reply", "answer")
            raise _NotARecord(f"no answer is found in '{key}' by task.gold ({where}): got {_shown(text)}")
        accepted.append(found)
    return tuple(dict.fromkeys(accepted)), raw[0]


def _reply(record: Mapping[str, Any], settings: RecordsTask, raw: str) -> str:
    """What the warm start learns; a pattern is nothing to learn."""
    if settings.reply is None:
        return "" if settings.scorer.name == "regex" else raw
    if settings.reply not in record:
        raise _NotARecord(f"missing key '{settings.reply}'{_has(record)}")
    return _text(record[settings.reply], settings.reply, may_be_number=True)


def _text_or_nothing(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    return "" if value is None else _text(value, key, may_be_number=True).strip()


def _text(value: Any, key: str, *, may_be_number: bool = False) -> str:
    if isinstance(value, _Number):
        if not may_be_number:
            raise _NotARecord(f"'{key}' must be text, got {_shown(value)}")
        return str(value)
    if not isinstance(value, str):
        wanted = "text or a number" if may_be_number else "text"
        raise _NotARecord(f"'{key}' must be {wanted}, got {_shown(value)}")
    if found := _NO_TEXT.search(value):
        raise _NotARecord(f"'{key}' holds the character {ascii(found[0])}, which is no text")
    if not value.strip():
        raise _NotARecord(f"'{key}' must not be empty")
    return value


def _dumped(value: Any) -> str:
    """JSON for a value that was read: numbers are written as they stood."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_dumped(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_dumped, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) and not isinstance(value, _Number) else _dumped(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _has(record: Mapping[str, Any]) -> str:
    """The keys that a record has, for a message about one that it lacks."""
    return f"; it has {', '.join(sorted(record))[:80]}" if record else "; it has none"
