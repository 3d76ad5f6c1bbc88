"""Records of stories with formulas, in each of the layouts in which they are found.

- FOLIO's own: ``premises`` and ``premises-FOL`` (lists, or texts of several lines), ``conclusion``,
  ``conclusion-FOL`` (which its training part lacks) and ``label`` (True, False, Unknown or Uncertain).
- ProverQA's: ``context``, ``nl2fol`` (the formula of each of its sentences), ``question``,
  ``conclusion_fol``, ``options`` and ``answer`` (a letter of the options).

Both as JSON or JSON lines.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.tasks.public_files import records_of, statement_after, text_in

_LAYOUTS = (
    "the layouts that are read are FOLIO's (premises, premises-FOL, conclusion, label) and ProverQA's "
    "(context, nl2fol, question, conclusion_fol, options, answer), as JSON or JSON lines"
)
_LABELS = {"true": "True", "false": "False", "unknown": "Unknown", "uncertain": "Unknown"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One question about a story; or, with a `fault`, an entry that is none."""

    place: str
    """File and number, for messages."""
    sentences: tuple[str, ...] = ()
    formulas: tuple[str, ...] = ()
    """Of the sentences, in their order, as they are published; not always as many."""
    conclusion: str = ""
    asked: str = ""
    """The conclusion's formula; empty where none is published."""
    label: str = ""
    """True, False or Unknown."""
    fault: str = ""


def read_records(path: Path) -> list[Record]:
    """All records of a file, in its order. Raises DataError for a file that holds no JSON, or no entries."""
    number = 0

    def record(value: Any, name: str) -> Record:
        nonlocal number
        number += 1
        place = f"{path.name}, record {number}"
        try:
            if not isinstance(value, dict):
                raise ValueError(f"expected an object, got {str(value)[:40]}")
            fields = _of_proverqa(value) if "nl2fol" in value else _of_folio(value)
        except ValueError as error:
            return Record(place=place, fault=f"{error}; {_LAYOUTS}")
        return Record(place=place, **fields)

    return records_of(path, record, _LAYOUTS)


def _of_folio(value: dict[str, Any]) -> dict[str, Any]:
    return {
        "sentences": _rows(value, "premises"),
        "formulas": _rows(value, "premises-FOL"),
        "conclusion": text_in(value, "conclusion"),
        "asked": text_in(value, "conclusion-FOL") if "conclusion-FOL" in value else "",
        "label": _label(text_in(value, "label"), "label"),
    }


def _of_proverqa(value: dict[str, Any]) -> dict[str, Any]:
    context, formula_of = text_in(value, "context"), value["nl2fol"]
    if not isinstance(formula_of, dict) or not all(isinstance(each, str) for each in formula_of.values()):
        raise ValueError(f"'nl2fol' must be an object of texts, got {str(formula_of)[:40]}")
    formulas = {" ".join(told.split()): formula for told, formula in formula_of.items()}
    for told in formulas:
        if told not in context:
            raise ValueError(f"the context lacks a sentence of 'nl2fol': {told[:60]!r}")
    sentences = sorted(formulas, key=context.index)
    if sum(len(told) + 1 for told in sentences) != len(context) + 1:
        raise ValueError("the context has sentences without a formula in 'nl2fol'")
    letter, options = text_in(value, "answer"), value.get("options")
    if not isinstance(options, list):
        raise ValueError(f"'options' must be a list, got {str(options)[:40]}")
    chosen = [str(each).partition(")")[2] for each in options if str(each).startswith(f"{letter})")]
    if len(chosen) != 1:
        raise ValueError(f"'answer' must be the letter of one option, got {letter[:40]}")
    return {
        "sentences": tuple(sentences),
        "formulas": tuple(formulas[told] for told in sentences),
        "conclusion": statement_after("?", text_in(value, "question"), "question"),
        "asked": text_in(value, "conclusion_fol"),
        "label": _label(chosen[0], "answer"),
    }


def _rows(value: dict[str, Any], key: str) -> tuple[str, ...]:
    """The texts of a list, or the lines of a text; blanks do not count."""
    rows = value.get(key)
    if isinstance(rows, str):
        rows = rows.strip().split("\n")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, str) for row in rows):
        raise ValueError(f"'{key}' must be a list of texts, got {str(rows)[:40]}")
    return tuple(" ".join(row.split()) for row in rows)


def _label(text: str, key: str) -> str:
    label = _LABELS.get(text.strip().lower())
    if label is None:
        raise ValueError(f"'{key}' must say True, False, Unknown or Uncertain, got {text[:40]}")
    return label
