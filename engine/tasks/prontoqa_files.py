"""PrOntoQA's public files, in each of the layouts in which they are found.

- The authors' own (github.com/asaparov/prontoqa): an object of numbered examples, of which the
  ``test_example`` is asked: ``question`` (the premises), ``query`` (``True or false: Max is red.``) and
  ``answer`` (True or False). The examples beside it are for a prompt, and are not read.
- Logic-LM's repack: a list of records: ``id``, ``context``, ``question`` and ``answer`` (A true, B false).

Examples may also stand in a list, with or without ``test_example``; JSON lines have either on each line.
"""

from pathlib import Path
from typing import Any, NamedTuple

from engine.tasks.public_files import id_in, records_of, sentences_in, statement_after, text_in

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
    return records_of(path, _record, _LAYOUTS)


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
    answer = text_in(example, "answer")
    if answer not in _LABELS.values():
        raise ValueError(f"'answer' must be True or False, got {answer[:40]}")
    premises = sentences_in(text_in(example, "question"))
    return Record(name, premises, statement_after(":", text_in(example, "query"), "query"), answer)


def _of_repack(record: dict[str, Any]) -> Record:
    named = id_in(record)
    context, question, answer = (text_in(record, key) for key in ("context", "question", "answer"))
    if answer not in _LABELS:
        raise ValueError(f"'answer' must be A (true) or B (false), got {answer[:40]}")
    asked = statement_after("?", question, "question")
    return Record(named, sentences_in(context), asked, _LABELS[answer])
