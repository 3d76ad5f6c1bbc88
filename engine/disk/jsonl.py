"""Files of JSON lines, read strictly: each row is a record, and an error names its file and line."""

import json
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

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
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the line"
            raise RowError(f"{path}, line {number}: {place}: {first['msg']}") from error
        if row.id in rows:
            raise RowError(f"{path}, line {number}: id '{row.id}' is already taken by an earlier line")
        rows[row.id] = row
    if not rows:
        raise RowError(f"{path}: holds no line; the file has one JSON object a line")
    return tuple(rows.values())
