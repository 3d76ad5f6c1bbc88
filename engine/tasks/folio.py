"""FOLIO: stories with formulas, and whether their premises prove a conclusion, refute it, or leave it open.

    task: {name: folio, file: train.jsonl, sealed: validation.jsonl}

In the form ``formal`` a problem shows sentences with their formulas, and the model proves; in ``english`` it
shows sentences alone, and the model formalizes them first. Records in FOLIO's layout are read, and
in ProverQA's (`folio_files.py`). Those whose formulas cannot be used are left out (`folio_checked.py`;
``ratchet data check`` lists them). The published training part has no formulas of its conclusions: there
questions about a story are made, and labelled by the solver (`folio_made.py`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from configs.tasks import AnyTask, FolioTask
from engine.logic.first_order.notation import parse
from engine.logic.formulas import Exists, ForAll, Not, parts
from engine.logic.proof_check import prune
from engine.records import Problem
from engine.tasks import posed, problem_id, proofs
from engine.tasks.first_order_prompts import Form, prompt_of, reply_of, theory_of_form
from engine.tasks.fixed import Fixed, Record
from engine.tasks.folio_checked import MEANINGS, Checked, Reason, check_file, premises_of
from engine.tasks.suite import DataError
from engine.terminal import counted

NAME = "folio"
SYSTEM = "Prove or refute, or answer Unknown."
VERIFIERS = ("rules", "z3")
FIGURES, HEADLINE = proofs.FIGURES_OF_FORMULAS, proofs.HEADLINE
target = prune
STYLE, pose = posed.FORMULAS, partial(posed.in_formulas, NAME)


class Stories(Fixed):
    """The suite of the records that can be used, with a sentence about those that cannot."""

    notes: tuple[str, ...] = ()


def open(settings: AnyTask) -> Stories:
    """The suite of a config's files. Raises DataError for a file that cannot be read or used at all."""
    assert isinstance(settings, FolioTask), "the task's own leaf"
    files = [settings.file] if isinstance(settings.file, str) else settings.file
    parts_of = [(file, "") for file in dict.fromkeys(files)]
    parts_of += [(settings.sealed, "sealed")] if settings.sealed else []
    records: dict[str, Record] = {}
    notes: list[str] = []
    for file, split in parts_of:
        checked = check_file(Path(file))
        found = [
            problem
            for problem in _problems(checked.records, Path(file).name, settings.form)
            # Only what is sealed is asked without a gold reply: of the others any may be shown or learnt.
            if problem.gold or split
        ]
        if not found:
            raise DataError(f"{file} has no record that can be used: {said_left_out(checked.records)}")
        if left_out := said_left_out(checked.records):
            notes.append(f"{file}: {left_out}: `ratchet data check {file} name=folio` lists them")
        # A story of both files is sealed: those of `sealed` come last.
        records |= {each.id: Record(problem=each, story=each.story, split=split) for each in found}
    suite = Stories(
        _apart(list(records.values())),
        shares=settings.shares,
        per_test=settings.per_test,
        verifiers=VERIFIERS,
        system=SYSTEM,
    )
    suite.notes = tuple(notes)
    return suite


def _apart(records: Sequence[Record]) -> Iterator[Record]:
    """All records but those of a story that is sealed, where they come from another file."""
    sealed = {record.story for record in records if record.split}
    yield from (record for record in records if record.split or record.story not in sealed)


def said_left_out(records: Sequence[Checked]) -> str:
    """How many records are left out, and why; empty where none is."""
    counts = Counter(each.reason for each in records if each.reason)
    if not counts:
        return ""
    reasons = ", ".join(f"{MEANINGS[Reason(reason)]} ({num})" for reason, num in counts.most_common())
    return f"{counts.total()} of {counted(len(records), 'record')} are left out: {reasons}"


def read(path: Path) -> list[Problem]:
    """The problems of a file in the form ``formal``, as `problems_in` gives them."""
    return problems_in(path, "formal")


def problems_in(path: Path, form: Form) -> list[Problem]:
    """The problems of a file: its conclusions with formulas, or the questions made in their place.

    Raises DataError for a file of which no record can be used.
    """
    checked = check_file(path)
    found = _problems(checked.records, path.name, form, split="public")
    problems = {problem.id: problem for problem in found}
    if not problems:
        raise DataError(f"{path} has no record that can be used: {said_left_out(checked.records)}")
    return list(problems.values())


def _problems(records: Sequence[Checked], file: str, form: Form, split: str = "") -> Iterator[Problem]:
    """The problems of records."""
    for number, checked in enumerate(records, 1):
        if checked.reason:
            continue
        sentences, premises = checked.record.sentences, checked.premises
        story = problem_id(NAME, *premises_of(checked.record))
        asked = [(made.question, made.answer, made.gold, "") for made in checked.made]
        if checked.question:
            record = checked.record
            asked = [(checked.question, record.label, checked.gold, record.conclusion)]
        for place, (question, answer, gold, told) in enumerate(asked, 1):
            origin = f"{file}#{number}" + (f"/{place}" if checked.made else "")
            theory = theory_of_form(form, premises, question, answer)
            problem = Problem(
                id=problem_id(NAME, form, *premises, question),
                task=NAME,
                slice=f"question={_kind(question)}",
                turns=(prompt_of(form, theory, sentences, told),),
                truth=theory,
                gold=(reply_of(form, theory, gold),) if gold else (),
                split=split,
                origin=origin,
                story=story,
            )
            yield problem


def _kind(question: str) -> str:
    """What kind of statement is asked about: ``literal``, ``compound`` or ``quantified``."""
    formula = parse(question)
    if any(isinstance(part, ForAll | Exists) for part, _ in parts(formula)):
        return "quantified"
    inner = formula.body if isinstance(formula, Not) else formula
    return "compound" if sum(1 for _ in parts(inner)) > 1 else "literal"
