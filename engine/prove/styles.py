"""Which task reads a question: every one with a `pose` is tried, and the prompt must be the same for all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from configs.schema import Config
from configs.tasks import AnyTask, FolioTask, MixtureTask
from engine.prove.question import Asked, AskedError, Statement, read_questions
from engine.records import Problem, Truth
from engine.tasks import TASKS, load_task
from engine.tasks.suite import NotPosed, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Posed:
    """A question as a problem of a task."""

    asked: Asked
    problem: Problem
    tasks: tuple[Task, ...]
    """The tasks that read it, all of which make this prompt of it."""


def posing_tasks() -> list[Task]:
    """The built-in tasks that read what people write."""
    return [task for task in map(load_task, TASKS) if task.pose]


def tasks_for(name: str | None, campaign: Config | None = None) -> list[Task]:
    """The tasks that ``--task`` names: one, those of a campaign's config, or without it all built-in ones.

    Raises AskedError for a task that reads no questions, and DataError as `load_task` does.
    """
    if name is None:
        return posing_tasks()
    names = names_of(campaign.task) if campaign else [name]
    tasks = [task for task in map(load_task, names) if task.pose]
    if not tasks:
        raise AskedError(f"--task {name} reads no questions; {_styles(posing_tasks())}")
    return tasks


def names_of(task: AnyTask) -> list[str]:
    """The tasks whose questions a model was trained on: several, for a mixture of them."""
    if isinstance(task, FolioTask) and task.form == "english":
        return []  # its models formalize sentences, and people ask about formulas
    return list(task.tasks) if isinstance(task, MixtureTask) else [task.name]


def pose(asked: Asked, tasks: Sequence[Task], option: str = "--task") -> Posed:
    """The question as a problem of those of `tasks` that read it.

    Raises AskedError where none does, with the statement at which the one that came furthest gave up, and
    where two make different problems of it: `option` then says which is meant.
    """
    read: dict[tuple[tuple[str, ...], Truth], Posed] = {}
    faults: list[tuple[NotPosed, Task]] = []
    texts = [premise.text for premise in asked.premises]
    for task in tasks:
        assert task.pose, "only tasks that read questions are tried"
        try:
            problem = task.pose(texts, asked.question.text)
        except NotPosed as fault:
            faults.append((fault, task))
            continue
        made = problem.turns, problem.truth
        posed = read.get(made) or Posed(asked=asked, problem=problem, tasks=())
        read[made] = replace(posed, tasks=(*posed.tasks, task))
    if not read:
        raise AskedError(_unread(asked, faults))
    first, *others = read.values()
    if others:
        names = " and as ".join(each.tasks[0].name for each in (first, *others))
        where = asked.question.place.partition(",")[0]
        raise AskedError(f"what ends in {where} can be read as {names}: {option} says which is meant")
    return first


def posed_in(path: Path, tasks: Sequence[Task]) -> list[Posed]:
    """The problems of a file, or of standard input for ``-``. Raises AskedError, which names the file."""
    try:
        return [pose(asked, tasks) for asked in read_questions(path)]
    except AskedError as error:
        raise AskedError(f"{'standard input' if str(path) == '-' else path}: {error}") from None


def _unread(asked: Asked, faults: Sequence[tuple[NotPosed, Task]]) -> str:
    """The statement that no task reads, and why by each of those that read all before it."""
    furthest = max(fault.number for fault, _ in faults)
    statements: list[Statement] = [*asked.premises, asked.question]
    at = statements[furthest]
    reasons: dict[str, list[str]] = {}
    for fault, task in faults:
        if fault.number == furthest:
            column = f"column {at.indent + fault.column}: " if fault.column else ""
            reasons.setdefault(f"{column}{fault.reason}", []).append(task.name)
    *_, said = at.text.split("\n")
    why = "; ".join(f"{' and '.join(names)}: {reason}" for reason, names in reasons.items())
    return f"{at.place}: no task reads {said[:80]!r} ({why}); {_styles([task for _, task in faults])}"


def _styles(tasks: Sequence[Task]) -> str:
    """What tasks read, each with a statement; those that read the same stand together."""
    names: dict[str, list[str]] = {}
    for task in tasks:
        names.setdefault(task.style, []).append(task.name)
    read = "; ".join(f"{' and '.join(each)} ({style})" for style, each in names.items())
    return f"what is read: {read}"
