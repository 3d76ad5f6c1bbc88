"""A benchmark as a sentinel suite: its documents in a file of which the gate asks in every trial.

    ratchet benchmark --tasks arc_easy -n 300 --suite arc.jsonl
    gate: {sentinels: {suites: [english, instructions, arc.jsonl]}}

Tasks of options become questions whose likeliest option is the answer, tasks of plain text become documents.
A task that is answered in words is measured by code of its own, which the gate does not run.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from engine.benchmark.package import BenchmarkError
from engine.benchmark.tasks import Chosen, seed_shots
from engine.disk.files import replace_file
from engine.gate.sentinels import Document
from engine.gate.sentinels.choices import Question
from engine.records import fault_in


def write_suite(tasks: Mapping[str, Any], chosen: Chosen, file: Path) -> int:
    """Write the documents of all tasks as one suite, asked with the same shots; returns how many.

    Raises BenchmarkError for a file that is there, and for documents that no suite can hold.
    """
    if os.path.lexists(file):
        raise BenchmarkError(f"--suite never overwrites, but {file} exists: name another file, or remove it")
    seed_shots(tasks, chosen.seed)
    rows: list[dict[str, Any]] = []
    for name, task in tasks.items():
        kind = str(task.OUTPUT_TYPE)
        if kind not in _ROWS or not hasattr(task, "doc_to_choice"):
            raise BenchmarkError(
                f"task {name} ({kind}) cannot be a suite, which takes tasks of options and of plain text"
            )
        task.build_all_requests(limit=chosen.num, system_instruction=chosen.system or None)
        rows += _checked(name, *_ROWS[kind](name, task))
    if len({"text" in row for row in rows}) > 1:
        raise BenchmarkError("a suite holds questions or documents, but the tasks are of both kinds")
    replace_file(file, "".join(json.dumps(row) + "\n" for row in rows).encode())
    return len(rows)


def _questions(name: str, task: Any) -> tuple[type, Iterator[dict[str, Any]]]:
    return Question, (_question(f"{name}-{number}", task, own) for number, own in _by_document(task))


def _question(id: str, task: Any, instances: list[Any]) -> dict[str, Any]:
    document = instances[0].doc
    choices = task.doc_to_choice(document)
    # Where the options stand in the question, it is the question that tells which one is right.
    found = task.doc_to_text(document) if task.multiple_input else task.doc_to_target(document)
    gold = [choices.index(each) if each in choices else each for each in _listed(found)]
    # Some measures ask each option a second time, without its question.
    options = [list(instance.args[:2]) for instance in instances[: len(choices)]]
    return {"id": id, "options": options, "gold": gold}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _documents(name: str, task: Any) -> tuple[type, Iterator[dict[str, Any]]]:
    texts = ((number, own[0].args[0]) for number, own in _by_document(task))
    return Document, ({"id": f"{name}-{number}", "text": text} for number, text in texts)


def _by_document(task: Any) -> list[tuple[int, list[Any]]]:
    """What is asked about each document, in order."""
    found: dict[int, list[Any]] = defaultdict(list)
    for instance in task.instances:
        found[instance.doc_id].append(instance)
    return [(number, sorted(own, key=lambda each: int(each.idx))) for number, own in found.items()]


_ROWS = {"multiple_choice": _questions, "loglikelihood_rolling": _documents}
"""By the kind of a task: the rows of a suite, and what each must be."""


def _checked(name: str, kind: type, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows that the gate reads. Raises BenchmarkError for the first that it would refuse."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    for row in rows:
        try:
            adapter.validate_python(row)
        except ValidationError as error:
            raise BenchmarkError(f"{row['id']} of task {name} fits no suite: {fault_in(error)}") from None
        yield row
