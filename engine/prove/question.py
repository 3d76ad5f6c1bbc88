"""What people ask: premises and a question, in a file, on standard input, or in a message.

A text has one statement a line, and the question last. The prompts of the tasks are such texts too: the
number at the end of a line and the words before a question count for nothing. JSON has a problem, a list of
them, or one a line: ``{"premises": […], "question": …}``, and an ``id`` where the problem has a name.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import Mistake
from engine.records import fault_in
from engine.tasks.public_files import values_in
from engine.terminal import counted

MOST_STATEMENTS = 256
MOST_CHARS = 32_768
"""Of all statements of a problem together: they are to be read at once, wherever they come from."""
_ASKS = re.compile(
    r"(?:(?:based on the above information, )?is the following statement )?"
    r"(?:question|true or false|true, false,? or unknown) *[:?]\s*",
    re.IGNORECASE,
)
"""What announces a question: in the prompts of the tasks, and in public files."""
_NUMBER = re.compile(r" *\[([1-9][0-9]{0,3})\]$")


class AskedError(Mistake):
    """A question that cannot be read, or that no model here can be asked; the message says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A premise, or the question, as somebody wrote it."""

    text: str
    place: str
    """Where it stands, such as ``line 3``."""
    indent: int = 0
    """Characters before it in its line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Premises and a question, which no task has read yet."""

    premises: tuple[Statement, ...]
    question: Statement
    id: str | int
    """Its name where it has one, else its number, from 1."""


class _Record(BaseModel):
    """One problem of a JSON file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    premises: Annotated[list[str], Field(min_length=1)]
    question: str
    id: str | int | None = None


def read_questions(path: Path) -> list[Asked]:
    """The problems of a file, or of standard input for ``-``. Raises AskedError for a file that has none."""
    try:
        content = _standard_input() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise AskedError(f"it cannot be read: {error.strerror}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AskedError(f"it is not text in UTF-8, at byte {error.start + 1}") from None
    return _in_json(content) if text.lstrip()[:1] in ("{", "[") else [question_in(text)]


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise AskedError("it is closed")
    return sys.stdin.buffer.read()


def question_in(text: str) -> Asked:
    """The problem that a text holds.

    Raises AskedError for one that is too long, has too few lines, or is a list with dashes.
    """
    rows = [
        Statement(text=row.strip(), place=f"line {number}", indent=len(row) - len(row.lstrip()))
        for number, row in enumerate(text.split("\n"), 1)
        if row.strip()
    ]
    _require_no_list(rows)
    asking = [number for number, row in enumerate(rows) if _ASKS.match(row.text)]
    first = asking[-1] if asking else len(rows) - 1
    if first < 1:
        got = counted(len(rows), "line")
        raise AskedError(f"it must hold premises, one a line, and below them the question, got {got} of text")
    return _asked(_without_numbers(rows[:first]), _joined(rows[first:]), 1)


def _require_no_list(rows: Sequence[Statement]) -> None:
    """Raises AskedError for a list with dashes: as formulas its premises would all be denials."""
    premises = [row for row in rows[:-1] if not _ASKS.match(row.text)]
    if len(premises) > 1 and all(row.text.startswith("- ") for row in premises):
        raise AskedError(
            f"{premises[0].place} to {premises[-1].place} are a list with dashes, and a dash denies what "
            "comes after it: leave the dashes out, or write a denial without a blank, as -P(a)"
        )


def _without_numbers(rows: Sequence[Statement]) -> list[Statement]:
    """The lines without the numbers that a prompt gives its premises: those that count on from 1."""
    numbered: list[Statement] = []
    number = 1
    for row in rows:
        if (match := _NUMBER.search(row.text)) and int(match[1]) == number:
            row = Statement(text=row.text[: match.start()], place=row.place, indent=row.indent)
            number += 1
        numbered.append(row)
    return numbered


def _joined(rows: Sequence[Statement]) -> Statement:
    """The question, without the words that announce it; it may go on in further lines."""
    begin = match.end() if (match := _ASKS.match(rows[0].text)) else 0
    first, *others = (row.text for row in rows)
    lines = [line for line in (first[begin:], *others) if line]
    # An error in it is in its last line: one before that is a sentence, which no notation reads.
    last = rows[-1]
    indent = last.indent + (begin if len(rows) == 1 else 0)
    return Statement(text="\n".join(lines), place=last.place, indent=indent)


def _in_json(content: bytes) -> list[Asked]:
    try:
        values = values_in(content)
    except (ValueError, RecursionError) as error:
        raise AskedError(f"it is neither text nor JSON: {error}") from None
    records: list[Any] = values if isinstance(values, list) else [values]
    found: list[Asked] = []
    for number, value in enumerate(records, 1):
        where = f"record {number}" if isinstance(values, list) else "the record"
        try:
            record = _Record.model_validate(value)
        except ValidationError as error:
            raise AskedError(f"{where}: {fault_in(error)}") from None
        premises = [
            Statement(text=text, place=f"{where}, premise {count}")
            for count, text in enumerate(record.premises, 1)
        ]
        question = Statement(text=record.question, place=f"{where}, its question")
        found.append(_asked(premises, question, number if record.id is None else record.id))
    if not found:
        raise AskedError("it holds no record")
    return found


def _asked(premises: Sequence[Statement], question: Statement, name: str | int) -> Asked:
    """Raises AskedError for a problem that is too large, or that is no text."""
    texts = [each.text for each in (*premises, question)]
    num_chars = sum(map(len, texts))
    if len(texts) > MOST_STATEMENTS or num_chars > MOST_CHARS:
        raise AskedError(
            f"a problem has at most {MOST_STATEMENTS} statements and {MOST_CHARS:,} characters, "
            f"got {len(texts):,} and {num_chars:,}"
        )
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise AskedError(
            f"it holds the character {ascii(error.object[error.start])}, which is no text"
        ) from None
    return Asked(premises=tuple(premises), question=question, id=name)
