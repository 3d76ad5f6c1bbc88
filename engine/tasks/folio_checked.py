"""What of published records can be used: their formulas parsed, their premises and labels put to the solver.

FOLIO's formulas are written by people. Some cannot be parsed, some premises contradict each other, and some
labels are not what follows from the formulas. Such records are left out, each with its reason. What is found
of a file is kept in RATCHET_HOME, as the solver takes a minute for FOLIO's training part.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from engine.disk.files import make_dirs, replace_file
from engine.disk.home import ratchet_home
from engine.logic.first_order.folio import read_folio
from engine.logic.first_order.names import plain_names
from engine.logic.first_order.notation import FirstOrder, show
from engine.logic.formulas import Formula
from engine.logic.notation import NotationError
from engine.records import from_json, to_json
from engine.tasks.folio_files import Record, read_records
from engine.tasks.folio_made import Made, gold_of, questions_about
from engine.terminal import progress

VERSION = 1
"""Of what is kept: another version or another solver looks at a file anew."""


class Reason(StrEnum):
    """Why a record is left out."""

    UNREADABLE = "unreadable"
    COUNT = "count"
    FORMULA = "formula"
    CONTRADICTORY = "contradictory"
    LABEL = "label"
    UNDECIDED = "undecided"


MEANINGS = {
    Reason.UNREADABLE: "no record of a layout that is read",
    Reason.COUNT: "not as many formulas as premises",
    Reason.FORMULA: "a formula cannot be parsed",
    Reason.CONTRADICTORY: "the premises contradict each other",
    Reason.LABEL: "the solver finds another label",
    Reason.UNDECIDED: "the solver gives up",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A record, and what can be used of it."""

    record: Record
    reason: str = ""
    """A `Reason`; empty where the record can be used."""
    why: str = ""
    """A sentence about the reason."""
    premises: tuple[str, ...] = ()
    """Formulas in the notation `first_order`."""
    question: str = ""
    """The conclusion's formula; empty where none is published."""
    gold: str = ""
    """A completion that proves the label; empty where none was found."""
    made: tuple[Made, ...] = ()
    """Questions about the premises, where the story's conclusions have no formulas; of its first record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """All records of a file."""

    records: tuple[Checked, ...]
    num_formulas: int
    """Different published formulas: those of a story count once, however many questions are about it."""
    num_parsed: int


def check_file(path: Path) -> CheckedFile:
    """What is found of a file, from RATCHET_HOME where it was looked at before.

    Raises DataError as `read_records` does.
    """
    from engine.logic.entailment import NAME as SOLVER  # with Z3, which only this waits for

    records = read_records(path)
    said = "\n".join([f"{VERSION} {SOLVER}", path.name, *map(to_json, records)])
    kept = ratchet_home() / "checked" / f"{hashlib.sha256(said.encode()).hexdigest()[:16]}.json"
    if kept.is_file():
        return from_json(CheckedFile, kept.read_bytes())
    checked = _look_at(records)
    make_dirs(kept.parent)
    replace_file(kept, to_json(checked).encode())
    return checked


def _look_at(records: Sequence[Record]) -> CheckedFile:
    found: list[Checked] = []
    formulas: dict[tuple[str, int], bool] = {}
    told: set[tuple[str, ...]] = set()
    with progress("records checked", len(records)) as advance:
        for number, record in enumerate(records, 1):
            checked = check_record(record)
            if not checked.reason and not record.asked and record.formulas not in told:
                told.add(record.formulas)
                parsed = [FirstOrder(checked.premises).parse(text) for text in checked.premises]
                made = questions_about(parsed, seed="\n".join(checked.premises))
                checked = replace(checked, made=made)
            found.append(checked)
            story = "\n".join(record.formulas)
            texts = [*record.formulas, *([record.asked] if record.asked else [])]
            for place, text in enumerate(texts):
                owner = record.place if place == len(record.formulas) else story
                formulas[owner, place] = _parsed(text) is not None
            advance(number)
    return CheckedFile(records=tuple(found), num_formulas=len(formulas), num_parsed=sum(formulas.values()))


def premises_of(record: Record) -> tuple[str, ...]:
    """The premises of a record that can be used, in names that do not depend on its conclusion.

    By them a story is known: a conclusion that has a name like one of theirs gives them other names in its
    own problem, and its story must stay the same.
    """
    return tuple(show(formula) for formula in plain_names([read_folio(text) for text in record.formulas]))


def _parsed(text: str) -> Formula | None:
    try:
        return read_folio(text)
    except NotationError:
        return None


def check_record(record: Record) -> Checked:
    """What of one record can be used; questions are made by `check_file`."""
    from engine.logic import solver  # with Z3
    from engine.logic.labels import Unlabelled

    def left_out(reason: Reason, why: str) -> Checked:
        return Checked(record=record, reason=reason, why=why)

    if record.fault:
        return left_out(Reason.UNREADABLE, record.fault)
    if len(record.sentences) != len(record.formulas):
        why = f"there are {len(record.sentences)} premises, but {len(record.formulas)} formulas of them"
        return left_out(Reason.COUNT, why)
    formulas: list[Formula] = []
    named = [(f"premise {i}", text) for i, text in enumerate(record.formulas, 1)]
    for name, text in [*named, *([("the conclusion", record.asked)] if record.asked else [])]:
        try:
            formulas.append(read_folio(text))
        except NotationError as error:
            return left_out(Reason.FORMULA, f"{name}: {error}: {text[:120]}")
    texts = [show(formula) for formula in plain_names(formulas)]
    premises, question = tuple(texts[: len(named)]), texts[-1] if record.asked else ""
    try:
        notation = FirstOrder(premises)
        asked = notation.read_question(question) if question else None
    except NotationError as error:
        return left_out(Reason.FORMULA, str(error))
    if asked is None:
        consistent = solver.consistent(notation.premises)
        if consistent is None:
            return left_out(Reason.UNDECIDED, "whether the premises are consistent is not found")
        if not consistent:
            return left_out(Reason.CONTRADICTORY, "the premises contradict each other")
        return Checked(record=record, premises=premises)
    try:
        answer = solver.answer(notation.premises, asked)
    except Unlabelled as error:
        is_contradictory = str(error) == "contradictory"
        reason = Reason.CONTRADICTORY if is_contradictory else Reason.UNDECIDED
        return left_out(reason, MEANINGS[reason])
    if answer != record.label:
        return left_out(Reason.LABEL, f"labelled {record.label}, but the solver finds {answer}")
    gold = gold_of(notation.premises, asked, answer)
    return Checked(record=record, premises=premises, question=question, gold=gold)
