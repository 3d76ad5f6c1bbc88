"""Files of JSON lines, read strictly: each row is a record, and an error names its file and line."""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from engine.errors import Mistake


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

    A byte order mark, CRLF and blank lines are let pass, and so are NaN and infinite numbers; an integer that
    no float holds is infinite. Raises RowError for a file that cannot be read, and for a line that is no
    object or names a key twice.
    """
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise RowError(f"{path}: cannot be read: {error.strerror}") from error
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode(), object_pairs_hook=_once, parse_int=_whole)
        except RecursionError:
            raise RowError(f"{path}, line {number}: nested too deeply") from None
        except UnicodeDecodeError:
            raise RowError(f"{path}, line {number}: not UTF-8 text") from None
        except ValueError as error:
            reason = f"not valid JSON: {error.msg}" if isinstance(error, json.JSONDecodeError) else error
            raise RowError(f"{path}, line {number}: {reason}") from None
        if not isinstance(row, dict):
            raise RowError(f"{path}, line {number}: must be a JSON object")
        yield number, row


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key '{twice}' is there twice")
    return row


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < 310 else float(digits)


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
