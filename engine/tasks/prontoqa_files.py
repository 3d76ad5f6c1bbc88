"""PrOntoQA's public files, in each of the layouts in which they are found.

- The authors' own (github.com/asaparov/prontoqa): an object of numbered examples, of which the
  ``test_example`` is asked: ``question`` (the premises), ``query`` (``True or false: Max is red.``) and
  ``answer`` (True or False). The examples beside it are for a prompt, and are not read.
- Logic-LM's repack: a list of records: ``id``, ``context``, ``question`` and ``answer`` (A true, B false).

Examples may also stand in a list, with or without ``test_example``; JSON lines have either on each line.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from engine.tasks.suite import DataError

_LAYOUTS = (
    "the layouts that are read are the authors' examples (question, query, answer; alone or as test_example) "
    "and Logic-LM's records (id, context, question, answer), as JSON or JSON lines"
)
_LABELS = {"A": "True", "B": "False"}


class Record(NamedTuple):
    """A public record, whatever its layout."""

    id: str
    """As the file names it; its number where the file gives it no name."""
    premises: tuple[str, ...]
    question: str
    """The statement asked about."""
    answer: str
    """True or False."""


def read_records(path: Path) -> list[Record]:
    """The records of a public file, in its order.

    Raises DataError for a file in another layout; the message names the first record that does not fit, and
    the layouts that are read.
    """
    records: list[Record] = []
    for number, (name, value) in enumerate(_entries(path), 1):
        try:
            records.append(_record(value, name or str(number)))
        except ValueError as error:
            raise DataError(f"{path}: record {number}: {error}; {_LAYOUTS}") from None
    return records


def _entries(path: Path) -> list[tuple[str, Any]]:
    """What the file holds for each record, with its name where it has one. Raises DataError."""
    try:
        content = _parsed(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}; {_LAYOUTS}") from None
    if isinstance(content, dict) and content:
        # Only examples, and an object of them, hold nothing but objects; any other is the record of one line.
        names_each = "test_example" not in content and all(
            isinstance(each, dict) for each in content.values()
        )
        return list(content.items()) if names_each else [("", content)]
    if not isinstance(content, list) or not content:
        raise DataError(f"{path}: expected a list of records, got {str(content)[:40]}; {_LAYOUTS}")
    return [("", value) for value in content]


def _parsed(content: bytes) -> Any:
    """The value of a JSON file, or the list of those of its lines. Raises ValueError."""
    text = content.decode(json.detect_encoding(content))
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        values: list[Any] = []
        for number, line in enumerate(text.split("\n"), 1):
            try:
                values += [json.loads(line)] if line.strip() else []
            except json.JSONDecodeError as error:
                if values:
                    raise ValueError(f"line {number}: {error.msg} at column {error.colno}") from None
                break
        if not values:  # The first line is no value, so the file is not one of JSON lines.
            raise
        return values


def _record(value: Any, name: str) -> Record:
    """The record that an entry holds. Raises ValueError with what is wrong with it."""
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {str(value)[:40]}")
    if isinstance(example := value.get("test_example"), dict):
        value = example
    if "query" in value:
        return _of_authors(value, name)
    if "question" in value or "context" in value:
        return _of_repack(value)
    raise ValueError(f"its keys are {', '.join(value)[:80] or 'none'}")


def _of_authors(example: dict[str, Any], name: str) -> Record:
    answer = _text(example, "answer")
    if answer not in _LABELS.values():
        raise ValueError(f"'answer' must be True or False, got {answer[:40]}")
    premises = _sentences(_text(example, "question"))
    return Record(name, premises, _after(":", _text(example, "query"), "query"), answer)


def _of_repack(record: dict[str, Any]) -> Record:
    named = record.get("id")
    if isinstance(named, bool) or not isinstance(named, str | int):
        raise ValueError(f"'id' must be text or a whole number, got {str(record.get('id', 'nothing'))[:40]}")
    context, question, answer = (_text(record, key) for key in ("context", "question", "answer"))
    if answer not in _LABELS:
        raise ValueError(f"'answer' must be A (true) or B (false), got {answer[:40]}")
    return Record(str(named), _sentences(context), _after("?", question, "question"), _LABELS[answer])


def _text(record: dict[str, Any], key: str) -> str:
    """The text of a field. Blanks do not count: with one more, a problem would count as never read."""
    if not isinstance(value := record.get(key), str):
        raise ValueError(f"'{key}' must be text, got {str(record.get(key, 'nothing'))[:40]}")
    return " ".join(value.split())


def _after(mark: str, text: str, key: str) -> str:
    _, found, statement = text.partition(mark)
    if not found:
        raise ValueError(f"'{key}' must be a question and, after its '{mark}', the statement asked about")
    return statement.strip()


def _sentences(text: str) -> tuple[str, ...]:
    return tuple(sentence.strip() + "." for sentence in text.rstrip(".").split(". "))
