"""Files of JSON lines, read strictly: each row is a record, and an error names its file and line."""

import codecs
import json
import math
import os
import select
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from engine.errors import Mistake

_CHUNK = 2**20
_DEEPEST = 100
"""Levels of nested objects and lists: what reads more of them may meet Python's limit of calls."""
_SHOWN = 40
"""Characters of a line that a message shows, where it has no more."""


class RowError(Mistake):
    """A file of JSON lines that cannot be used; the message names the file, the line and the reason."""


def objects(path: Path, *, growing: bool = False) -> list[dict[str, Any]]:
    """The JSON object of every line; none where there is no such file.

    Of a file that is `growing` the last line may be cut off, and is then left out. Raises RowError for a line
    that is damaged.
    """
    rows: list[dict[str, Any]] = []
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            if growing and number == len(lines):
                break
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise RowError(
                f"{path} is damaged in line {number} ({reason}); restore it, or start a new run"
            ) from None
    return rows


def numbered_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON object of every line of a file that any program may have written, with its line number.

    NaN and infinite numbers are let pass; an integer that no float holds is infinite. Raises RowError for a
    file that cannot be read, and for a line that is no object or gives a key twice.
    """
    try:
        lines = numbered_lines(path)
    except OSError as error:
        raise RowError(f"{path}: cannot be read: {error.strerror}") from error
    for number, line in lines:
        try:
            yield number, object_in(line, number, parse_int=whole)
        except LineError as error:
            raise RowError(f"{path}, line {number}: {error}") from None


def numbered_lines(path: Path) -> list[tuple[int, bytes]]:
    """The lines of a file that are not blank, with their numbers from 1. Raises OSError.

    A byte order mark and CRLF are let pass.
    """
    rows = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    return [(number, row) for number, row in enumerate(rows, start=1) if row.strip()]


def arriving_lines(descriptor: int, most: int) -> Iterator[tuple[int, bytes | None] | None]:
    """The lines of an open file that are not blank, with their numbers from 1, as they arrive.

    Of a line with more than `most` bytes nothing is kept: its number comes with None. None alone says that a
    pipe has not given the next line yet. A byte order mark and CRLF are let pass. Raises LineError for a file
    that cannot be read further, and for one that is not in UTF-8.
    """
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    number, held, is_long = 1, bytearray(), False
    while True:
        if not poller.poll(0):
            yield None
            continue
        try:
            chunk = os.read(descriptor, _CHUNK)
        except OSError as error:
            raise LineError(f"cannot be read: {error.strerror}") from error
        first, *others = chunk.split(b"\n")
        held += first  # in place: a pipe gives a long line in many pieces
        rows: list[bytes] = []
        if others or not chunk:
            rows = [bytes(held), *others[:-1]]
            held = bytearray(others[-1] if others else b"")
        for row in rows:
            if number == 1 and not is_long:
                _require_utf8(row)
                row = row.removeprefix(codecs.BOM_UTF8)
            if is_long or len(row) > most:
                yield number, None
            elif row.strip():
                yield number, row
            number, is_long = number + 1, False
        if not chunk:
            return
        if is_long or len(held) > most:
            held, is_long = bytearray(), True


def _require_utf8(line: bytes) -> None:
    """Raise LineError where a file begins as only UTF-16 and UTF-32 do."""
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in line[:2]:
        raise LineError("is not in UTF-8 but in UTF-16 or UTF-32; convert it, for example with iconv")


class LineError(ValueError):
    """Why a line holds no JSON object that every reader reads alike, or a file no more lines."""


def object_in(
    line: bytes,
    number: int,
    *,
    parse_int: Callable[[str], Any],
    parse_float: Callable[[str], Any] | None = None,
    parse_constant: Callable[[str], Any] | None = None,
) -> dict[str, Any]:
    """The JSON object of the line `number`; how its numbers are read is said as to `json.loads`.

    Raises LineError with what is wrong and where.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise LineError(f"not valid UTF-8 at byte {error.start + 1}") from None
    is_whole_file = number == 1 and (text.strip() == "{" or text.lstrip().startswith("["))
    hint = "; the file must hold one JSON object a line" if is_whole_file else ""
    try:
        value = json.loads(
            text,
            object_pairs_hook=once,
            parse_int=parse_int,
            parse_float=parse_float,
            parse_constant=parse_constant,
        )
    except json.JSONDecodeError as error:
        raise LineError(f"not valid JSON: {error.msg} at character {error.pos + 1}{hint}") from None
    except RecursionError:
        raise LineError("not valid JSON: nested too deeply") from None
    if not isinstance(value, dict):
        shown = text.strip()
        if len(shown) > _SHOWN:
            # Such sentences are kept, and private data cannot be recognised in a piece that is cut.
            shown = {'"': "a text", "[": "a list"}.get(shown[0], "a number")
        raise LineError(f"must be a JSON object, got {shown}{hint}")
    if _is_too_deep(value):
        raise LineError("not valid JSON: nested too deeply")
    return value


def _is_too_deep(value: Any) -> bool:
    level, depth = [value], 0
    while level and depth < _DEEPEST:
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level = [each for several in inner for each in several if isinstance(each, dict | list)]
        depth += 1
    return bool(level)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different, as `json.loads` asks its hook. Raises LineError."""
    if twice := [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]:
        raise LineError(f"the key '{twice[0]}' is given twice")
    return dict(pairs)


def whole(digits: str) -> int | float:
    """An integer of any length; one that no float holds is infinite."""
    value = float(digits)
    return int(digits) if math.isfinite(value) else value


class Identified(Protocol):
    """A row with an id of its own."""

    @property
    def id(self) -> str: ...


Row = TypeVar("Row", bound=Identified)


def read_rows(path: Path, kind: type[Row]) -> tuple[Row, ...]:
    """The rows of a file, each with an id of its own. Raises RowError for a missing, empty or broken file."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RowError(f"{path}: cannot be read: {error.strerror}") from error
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    rows: dict[str, Row] = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = adapter.validate_json(line)
        except ValidationError as error:
            raise RowError(f"{path}, line {number}: {_reason(error.errors()[0])}") from error
        if row.id in rows:
            raise RowError(f"{path}, line {number}: id '{row.id}' is already taken by an earlier line")
        rows[row.id] = row
    if not rows:
        raise RowError(f"{path}: holds no line; the file has one JSON object a line")
    return tuple(rows.values())


def _reason(error: ErrorDetails) -> str:
    """What is wrong with a row, in plain words."""
    field, limits = ".".join(str(part) for part in error["loc"]), error.get("ctx", {})
    match error["type"]:
        case "json_invalid":
            return f"not valid JSON: {limits['error'].partition(' at line ')[0]}"
        case "dataclass_type":
            return "must be a JSON object"
        case "missing":
            return f"missing field '{field}'"
        case "unexpected_keyword_argument":
            return f"unknown field '{field}'"
        case "value_error":
            return f"field '{field}': {limits['error']}" if field else str(limits["error"])
        case "too_short" | "string_too_short" if limits["min_length"] == 1:
            return f"field '{field}' must not be empty"
        case "string_too_long":
            return f"field '{field}' must have at most {limits['max_length']:,} characters"
        case "string_type":
            return f"field '{field}' must be text, got {json.dumps(error['input'])}"
        case "tuple_type" | "list_type":
            return f"field '{field}' must be a list, got {json.dumps(error['input'])}"
    return f"field '{field}': {error['msg']}"
