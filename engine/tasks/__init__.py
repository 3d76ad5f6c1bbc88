"""Tasks, the sources of problems: one file each, and one line in `TASKS`. `engine/tasks/README.md` shows one.

A user's own task is the path of such a file.
"""

import hashlib
import importlib
from pathlib import Path

from configs.schema import Config
from configs.tasks import (
    RECORD_FILES,
    TEXT_FILES,
    AnyTask,
    DomainTask,
    FolioTask,
    RecordsTask,
    TextTask,
    how_to_use,
)
from engine.plugins import PluginError, load_plugin
from engine.records import Problem, Reference
from engine.tasks.contract import task_of
from engine.tasks.suite import DataError, Suite, Task

TASKS = {
    "prontoqa": "engine.tasks.prontoqa",
    "proofwriter": "engine.tasks.proofwriter",
    "formal": "engine.tasks.formal",
    "folio": "engine.tasks.folio",
    "mixture": "engine.tasks.mixture",
    "records": "engine.tasks.records",
    "text": "engine.tasks.text",
    "gym": "engine.tasks.gym",
    "people": "engine.tasks.people",
    "domain": "engine.tasks.domain",
}


def problem_id(task: str, *texts: str) -> str:
    """Content hash of a task's name and of all that one problem asks: equal problems have equal ids."""
    return hashlib.sha256("\n".join([task, *texts]).encode()).hexdigest()[:16]


def problem_of(task: str, question: str, answer: str, *, split: str, slice_name: str, origin: str) -> Problem:
    """A problem that is one question with one right answer, which is also the gold reply."""
    return Problem(
        id=problem_id(task, question),
        task=task,
        slice=slice_name,
        turns=(question,),
        truth=Reference(accepted=(answer,)),
        gold=(answer,),
        split=split,
        origin=origin,
    )


def load_task(name: str) -> Task:
    """A built-in task by name, or a Python file by path.

    Raises DataError where there is none, and for a file that cannot be run, lacks a part or has one of the
    wrong type.
    """
    if name in TASKS:
        return task_of(importlib.import_module(TASKS[name]), f"task {name}")
    path = Path(name)
    if path.suffix in (*RECORD_FILES, *TEXT_FILES):
        raise DataError(how_to_use(name))
    if path.suffix != ".py" or not path.is_file():
        raise DataError(f"task '{name}' is neither one of {', '.join(TASKS)} nor the path of a Python file")
    try:
        module = load_plugin(path, "task", ())
    except PluginError as error:
        raise DataError(str(error)) from None
    return task_of(module, f"task file {path}")


def read_file(settings: AnyTask, path: Path) -> list[Problem]:
    """The problems of a public file, read as a task's settings say. Raises DataError."""
    if isinstance(settings, RecordsTask):
        from engine.tasks.records import problems_in

        return problems_in(settings.model_copy(update={"file": str(path)}))
    if isinstance(settings, FolioTask):
        from engine.tasks import folio

        return folio.problems_in(path, settings.form)
    if isinstance(settings, TextTask):
        from engine.tasks import text

        return text.problems_in(settings.model_copy(update={"files": [str(path)]}))
    if isinstance(settings, DomainTask):
        from engine.tasks import domain

        return domain.problems_in(settings, path)
    return load_task(settings.name).read(path)


def suite_of(config: Config) -> Suite:
    """The task of a campaign with its mixture of slices.

    Raises DataError for an unknown task or slice, and for more questions a story than the task can ask.
    """
    suite, warm_start = load_task(config.task.name).open(config.task), config.warm_start
    most = max(config.loop.questions, warm_start.questions if warm_start else 1)
    # A draw of no problem raises where a draw of many would.
    suite.draw(0, split="plan", seed=0, questions=most)
    return suite
