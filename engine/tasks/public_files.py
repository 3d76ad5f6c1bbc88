"""Public files as people have them: JSON or JSON lines, a list of records or an object of named ones.

A task that reads some of their layouts makes its records of what stands here.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from engine.disk.jsonl import once
from engine.tasks.suite import DataError

R = TypeVar("R")


def records_of(path: Path, record: Callable[[Any, str], R], layouts: str) -> list[R]:
    """What `record` makes of each entry of a file and its name, in the file's order.

    An entry's name is its number where the file gives it none. Raises DataError for a file that is no JSON,
    and for the first entry of which `record` raises ValueError; the message ends in the `layouts` that are
    read.
    """
    records: list[R] = []
    for number, (name, value) in enumerate(_entries(path, layouts), 1):
        try:
            records.append(record(value, name or str(number)))
        except ValueError as error:
            raise DataError(f"{path}: record {number}: {error}; {layouts}") from None
    return records


def _entries(path: Path, layouts: str) -> list[tuple[str, Any]]:
    """What the file holds for each record, with its name where it has one. Raises DataError."""
    try:
        content = values_in(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}; {layouts}") from None
    if isinstance(content, dict) and content:
        # Only examples, and an object of them, hold nothing but objects; any other is the record of one line.
        names_each = "test_example" not in content and all(
            isinstance(each, dict) for each in content.values()
        )
        return list(content.items()) if names_each else [("", content)]
    if not isinstance(content, list) or not content:
        raise DataError(f"{path}: expected a list of records, got {str(content)[:40]}; {layouts}")
    return [("", value) for value in content]


def values_in(content: bytes) -> Any:
    """The value of a JSON file, or the list of those of its lines. Raises ValueError."""
    text = content.decode(json.detect_encoding(content))
    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError:
        values: list[Any] = []
        for number, line in enumerate(text.split("\n"), 1):
            try:
                values += [json.loads(line, object_pairs_hook=once)] if line.strip() else []
            except json.JSONDecodeError as error:
                if values:
                    raise ValueError(f"line {number}: {error.msg} at column {error.colno}") from None
                break
        if not values:  # The first line is no value, so the file is not one of JSON lines.
            raise
        return values


def text_in(record: dict[str, Any], key: str) -> str:
    """The text of a field. Blanks do not count: with one more, a problem would count as never read.

    Raises ValueError where it is none.
    """
    if not isinstance(value := record.get(key), str):
        raise ValueError(f"'{key}' must be text, got {str(record.get(key, 'nothing'))[:40]}")
    return " ".join(value.split())


def id_in(record: dict[str, Any]) -> str:
    """The record's own name. Raises ValueError where it has none."""
    named = record.get("id")
    if isinstance(named, bool) or not isinstance(named, str | int):
        raise ValueError(f"'id' must be text or a whole number, got {str(record.get('id', 'nothing'))[:40]}")
    return str(named)


def statement_after(mark: str, text: str, key: str) -> str:
    """What a question asks about, after its `mark`. Raises ValueError where it has none."""
    _, found, statement = text.partition(mark)
    if not found:
        raise ValueError(f"'{key}' must be a question and, after its '{mark}', the statement asked about")
    return statement.strip()


def sentences_in(text: str) -> tuple[str, ...]:
    """The sentences of a paragraph in which full stops end sentences and nothing else."""
    return tuple(sentence.strip() + "." for sentence in text.rstrip(".").split(". "))
