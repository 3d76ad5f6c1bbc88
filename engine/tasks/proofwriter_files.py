"""ProofWriter's public files, in each of the layouts in which they are found.

- The authors' own (``meta-test.jsonl`` and such): theories with their questions: ``id``, ``theory`` and
  ``questions`` (an object of objects with ``question`` and ``answer``: true, false or "Unknown").
- Logic-LM's repack: a list of records: ``id``, ``context``, ``question``, ``options`` and ``answer`` (A true,
  B false, C unknown).

Both as JSON or JSON lines. Whether the world is open or closed stands in the id (``OWA``, ``CWA``); where it
does not, the world is open if an answer can be unknown, and otherwise the record is refused.
"""

from pathlib import Path
from typing import Any, NamedTuple

from engine.tasks.public_files import id_in, records_of, sentences_in, statement_after, text_in

_LAYOUTS = (
    "the layouts that are read are the authors' theories (id, theory, questions with question and answer) "
    "and Logic-LM's records (id, context, question, options, answer), as JSON or JSON lines"
)
_LABELS = {"A": "True", "B": "False", "C": "Unknown"}


class Record(NamedTuple):
    """One question of a public file, whatever its layout."""

    id: str
    premises: tuple[str, ...]
    question: str
    """The statement asked about."""
    answer: str
    """True, False or Unknown."""
    is_closed: bool
    """Whether what does not follow is false."""


def read_records(path: Path) -> list[Record]:
    """The questions of a public file, in its order.

    Raises DataError for a file in another layout; the message names the first record that does not fit, and
    the layouts that are read.
    """
    return [record for records in records_of(path, _records, _LAYOUTS) for record in records]


def _records(value: Any, name: str) -> list[Record]:
    """The questions that an entry holds. Raises ValueError with what is wrong with it."""
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {str(value)[:40]}")
    if "theory" in value:
        return _of_authors(value)
    if "context" in value or "question" in value:
        return [_of_repack(value)]
    raise ValueError(f"its keys are {', '.join(value)[:80] or 'none'}")


def _of_authors(value: dict[str, Any]) -> list[Record]:
    named, premises = id_in(value), sentences_in(text_in(value, "theory"))
    questions = value.get("questions")
    if not isinstance(questions, dict) or not all(isinstance(each, dict) for each in questions.values()):
        raise ValueError(f"'questions' must be an object of objects, got {str(questions)[:40]}")
    answers = [each.get("answer") for each in questions.values()]
    labels = {True: "True", False: "False", "Unknown": "Unknown"}
    for answer in answers:
        if not isinstance(answer, bool | str) or answer not in labels:
            raise ValueError(f"'answer' must be true, false or \"Unknown\", got {str(answer)[:40]}")
    is_closed = _is_closed(named, may_be_unknown="Unknown" in answers)
    return [
        Record(f"{named}/{key}", premises, text_in(each, "question"), labels[each["answer"]], is_closed)
        for key, each in questions.items()
    ]


def _of_repack(value: dict[str, Any]) -> Record:
    named = id_in(value)
    context, question, answer = (text_in(value, key) for key in ("context", "question", "answer"))
    if answer not in _LABELS:
        raise ValueError(f"'answer' must be A (true), B (false) or C (unknown), got {answer[:40]}")
    options = value.get("options")
    if options is not None and (not isinstance(options, list) or len(options) not in (2, 3)):
        raise ValueError(f"'options' must be a list of two or three, got {str(options)[:40]}")
    is_closed = _is_closed(named, may_be_unknown=answer == "C" or options is not None and len(options) == 3)
    asked = statement_after("?", question, "question")
    return Record(named, sentences_in(context), asked, _LABELS[answer], is_closed)


def _is_closed(named: str, *, may_be_unknown: bool) -> bool:
    """Whether a record is about a closed world. Raises ValueError where nothing or too much says so."""
    said = [world for world in ("OWA", "CWA") if world in named]
    if len(said) == 1:
        return said == ["CWA"]
    if not may_be_unknown:
        raise ValueError(f"'id' must have OWA or CWA in it where no answer is unknown, got {named[:40]}")
    return False
