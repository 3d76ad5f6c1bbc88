"""A user's JSONL, read strictly: every line is a record, or a fault with file, number and reason."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from configs.tasks import RecordsTask
from engine.answers import describe_find, find_answer
from engine.tasks.objects import (
    LineFault,
    NotARecord,
    Number,
    dumped,
    got,
    keys_of,
    messages_of,
    read_objects,
    require_no_mistyped,
    shown,
    text_of,
    text_or_nothing,
)

PARTS = ("train", "probe", "gate", "sealed")
"""The parts that records are divided into, from which a campaign draws."""
JUDGING = "test"
"""The ``split`` of a record that may go to any part but train."""
SENTINEL = "sentinel"
"""The ``split`` of a record that no draw takes: what a model must not lose."""
SPLITS = (*PARTS, JUDGING, SENTINEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One record of a file, or one passage of a text, which then is its `prompt`."""

    file: str
    number: int
    """Its line in the file, from 1: that at which a passage begins."""
    id: str
    """The record's own; empty where it has none."""
    prompt: str
    system: str
    """The system message of its ``messages``; empty where there is none."""
    accepted: tuple[str, ...]
    """Answers that are right; none of a passage."""
    reply: str
    """What the warm start learns; empty where the record has none that could be learnt."""
    slice: str
    story: str
    split: str

    @property
    def place(self) -> str:
        """Where the record is, for messages."""
        return f"{self.file}, line {self.number}"


@dataclass(slots=True)
class FileRead:
    """What the lines of some files hold."""

    lines: list[Line] = field(default_factory=list)
    faults: list[LineFault] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    """Unknown keys, and how many records have each."""


def read_lines(settings: RecordsTask) -> FileRead:
    """All records of a task's files, in their order, and all lines that are none. It raises nothing."""
    read = FileRead()
    files = [settings.file] if isinstance(settings.file, str) else settings.file
    for name in dict.fromkeys(files):

        def take(record: dict[str, Any], number: int, name: str = name) -> None:
            read.lines.append(_line_of(record, name, number, settings))
            read.ignored.update(record.keys() - _known(settings))

        read_objects(name, read.faults, take)
    return read


def _known(settings: RecordsTask) -> set[str]:
    fields = {settings.prompt, settings.answer, "messages", "slice", "story", "id", "split"}
    return fields | ({settings.reply} if settings.reply else set())


def _line_of(record: Mapping[str, Any], file: str, number: int, settings: RecordsTask) -> Line:
    require_no_mistyped(record, _known(settings))
    system, prompt = _asked(record, settings)
    accepted, raw = _answers(record, settings)
    return Line(
        file=file,
        number=number,
        id=text_or_nothing(record, "id"),
        prompt=prompt,
        system=system,
        accepted=accepted,
        reply=_reply(record, settings, raw),
        slice=text_or_nothing(record, "slice"),
        story=text_or_nothing(record, "story"),
        split=split_named(record),
    )


def split_named(record: Mapping[str, Any], allowed: Sequence[str] = SPLITS) -> str:
    """The part that a record names for itself; empty where it names none. Raises NotARecord."""
    split = text_or_nothing(record, "split")
    if split and split not in allowed:
        raise NotARecord(f"'split' must be one of {', '.join(allowed)}, got {got(split)}")
    return split


def _asked(record: Mapping[str, Any], settings: RecordsTask) -> tuple[str, str]:
    """System message and question."""
    has_messages = settings.prompt != "messages" and "messages" in record
    if settings.prompt in record and has_messages:
        raise NotARecord(f"must have '{settings.prompt}' or 'messages', got both")
    if settings.prompt in record and settings.prompt != "messages":
        return "", text_of(record[settings.prompt], settings.prompt)
    if "messages" not in record:
        raise NotARecord(f"missing key '{settings.prompt}'{keys_of(record)}")
    messages = messages_of(record)
    roles = [each["role"] for each in messages]
    if roles not in (["user"], ["system", "user"]):
        raise NotARecord(
            "'messages' must be one user message, after a system message or none, got the roles "
            f"{', '.join(map(str, roles))[:60]}: a model answers every turn itself"
        )
    texts = [text_of(each["content"], f"content of {each['role']}") for each in messages]
    return (texts[0] if len(texts) > 1 else ""), texts[-1]


def _answers(record: Mapping[str, Any], settings: RecordsTask) -> tuple[tuple[str, ...], str]:
    """The accepted answers, and the first as it stands in the record."""
    key = settings.answer
    if key not in record:
        raise NotARecord(f"missing key '{key}'{keys_of(record)}")
    given = record[key]
    if settings.scorer.name == "json":
        # A list is one value here; any JSON can be an answer.
        text = given if isinstance(given, str) and not isinstance(given, Number) else dumped(given)
        return (text,), text
    several = given if isinstance(given, list) else [given]
    if not several:
        raise NotARecord(f"'{key}' must not be an empty list")
    raw = [text_of(each, key, may_be_number=True) for each in several]
    accepted = []
    for text in raw:
        found = find_answer(text, settings.gold)
        if not found:
            where = describe_find(settings.gold).replace("reply", "answer")
            raise NotARecord(f"no answer is found in '{key}' by task.gold ({where}): got {shown(text)}")
        accepted.append(found)
    return tuple(dict.fromkeys(accepted)), raw[0]


def _reply(record: Mapping[str, Any], settings: RecordsTask, raw: str) -> str:
    """What the warm start learns; a pattern is nothing to learn."""
    if settings.reply is None:
        return "" if settings.scorer.name == "regex" else raw
    if settings.reply not in record:
        raise NotARecord(f"missing key '{settings.reply}'{keys_of(record)}")
    return text_of(record[settings.reply], settings.reply, may_be_number=True)
