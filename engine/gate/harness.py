"""The sample files of lm-evaluation-harness, as `lm_eval run --log_samples --output_path DIR` writes them.

    DIR/<model>/samples_<task>_<time>.jsonl    a row for each document and filter, with its metrics' values
    DIR/<model>/results_<time>.json            the whole run: means, standard errors, which way is better

Read from the format of version 0.4 (`lm_eval/evaluator.py`, `lm_eval/loggers/evaluation_tracker.py`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from engine.disk.jsonl import numbered_objects
from engine.gate.outcomes import CompareError, Item, Kind, Outcomes, id_in, named, number, short

Row = tuple[int, dict[str, Any]]
"""A line's number and its object."""
_ROLLING = {"word_perplexity": "word", "byte_perplexity": "byte", "bits_per_byte": "byte"}
"""Metrics whose value for a document is its log-likelihood and a count of these."""
_NOT_METRICS = {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"} | {
    "doc_hash",
    "prompt_hash",
    "target_hash",
}


def is_sample(row: dict[str, Any]) -> bool:
    """Whether a row is of a sample file."""
    return "doc_id" in row and "id" not in row and "filtered_resps" in row


@dataclass(frozen=True)
class Task:
    """A task's samples."""

    name: str
    path: Path
    rows: Sequence[Row]

    @classmethod
    def of_file(cls, path: Path, rows: Sequence[Row] | None = None) -> "Task":
        """The samples in a file, whose name tells the task. Raises RowError and CompareError."""
        rows = list(numbered_objects(path)) if rows is None else rows
        for line, row in rows:
            if not is_sample(row):
                raise CompareError(f"{path}, line {line}: is no sample of lm-evaluation-harness")
        if not rows:
            raise CompareError(f"{path} holds no sample")
        return cls(_parts(path)[0], path, rows)

    @cached_property
    def run(self) -> dict[str, Any]:
        """What the results file of the same run says; nothing where it is not beside the samples."""
        return _results_in(self.path.with_name(f"results_{_parts(self.path)[1]}.json"))

    def said(self, *keys: str) -> Any:
        """An entry of the results file; None where it is not there."""
        entry: Any = self.run
        for key in keys:
            entry = entry.get(key) if isinstance(entry, dict) else None
        return entry


def tasks_in(directory: Path, chosen: Sequence[str]) -> list[Task]:
    """The tasks whose samples lie in an output directory, or in the one model's directory below it.

    Raises CompareError where there are none, where a chosen one is missing, and where it cannot be told which
    of several models or runs is meant.
    """
    files = sorted(directory.glob("samples_*.jsonl")) or sorted(directory.glob("*/samples_*.jsonl"))
    if not files:
        raise CompareError(f"{directory} holds no samples_*.jsonl of lm-evaluation-harness (--log_samples)")
    if len(folders := sorted({file.parent.name for file in files})) > 1:
        raise CompareError(f"{directory} holds several models, name the directory of one: {named(folders)}")
    by_task: dict[str, list[Path]] = {}
    for file in files:
        by_task.setdefault(_parts(file)[0], []).append(file)
    tasks = _without_groups(chosen, files[0].parent, by_task) or list(by_task)
    if unknown := [task for task in tasks if task not in by_task]:
        raise CompareError(
            f"{directory} has no samples of {named(unknown)}; there are {named(list(by_task))}"
        )
    for task in tasks:
        if len(by_task[task]) > 1:
            raise CompareError(
                f"{directory} holds {len(by_task[task])} runs of {task}, name the file of one: "
                f"{named([file.name for file in by_task[task]])}"
            )
    return [Task.of_file(by_task[task][0]) for task in tasks]


def _without_groups(chosen: Sequence[str], folder: Path, tasks: Mapping[str, Any]) -> list[str]:
    """The tasks chosen, a group replaced by its own, as the results files of the runs tell them."""
    groups: dict[str, Any] = {}
    for path in folder.glob("results_*.json"):
        listed = _results_in(path).get("group_subtasks")
        groups |= listed if isinstance(listed, dict) else {}
    found, pending = [], list(chosen)
    while pending:
        name = pending.pop(0)
        if name not in tasks and isinstance(below := groups.pop(name, None), list):
            pending = [*map(str, below), *pending]
        else:
            found.append(name)
    return list(dict.fromkeys(found))


def _results_in(path: Path) -> dict[str, Any]:
    """What a results file says; nothing where there is none. Raises CompareError for a damaged one."""
    try:
        found = json.loads(path.read_bytes())
    except OSError:
        return {}
    except ValueError as error:
        raise CompareError(f"{path} is not valid JSON: {error}") from None
    return found if isinstance(found, dict) else {}


def read_tasks(source: Path, tasks: Sequence[Task], metric: str, filter: str) -> Outcomes:
    """The outcomes of one or several tasks; of several, ids begin with the task's name.

    Each task is measured by `metric` after `filter`, by default by those that its file names first. Raises
    CompareError for what is not there, and for tasks whose measures do not go together.
    """
    read = [_read_task(task, metric, filter) for task in tasks]
    if len(read) == 1:
        return read[0].outcomes(str(source))
    measures, filters = {each.measure for each in read}, {each.filter for each in read}
    by_task = ", ".join(sorted(f"{each.filter} of {each.task.name}" for each in read))
    if len({each.way for each in read}) > 1 or (len(measures) > 1 and not all(each.passes for each in read)):
        listed = ", ".join(f"{each.task.name} by {each.measure}" for each in read)
        raise CompareError(
            f"{source}: tasks that are measured differently; choose --metric or --task: {listed}"
        )
    whole = read[0].outcomes(str(source))
    return Outcomes(
        source=whole.source,
        measure=", ".join(sorted(measures)),
        kind=whole.kind,
        falls=whole.falls,
        unit=whole.unit,
        filter=whole.filter if len(filters) == 1 else by_task,
        others=whole.others,
        items={
            f"{each.task.name}/{name}": replace(item, slice=each.task.name)
            for each in read
            for name, item in each.items.items()
        },
        prompts={f"{each.task.name}/{name}": text for each in read for name, text in each.prompts.items()},
    )


class _Way(NamedTuple):
    """How values of a metric are to be read."""

    likelihood: bool
    unit: str
    falls: bool


@dataclass(frozen=True)
class _Measured:
    """A task by one metric after one filter."""

    task: Task
    measure: str
    filter: str
    way: _Way
    items: dict[str, Item]
    prompts: dict[str, str]
    others: tuple[str, ...]

    @property
    def passes(self) -> bool:
        return all(item.value in (None, 0.0, 1.0) for item in self.items.values())

    def outcomes(self, source: str) -> Outcomes:
        name = self.task.name
        keys = f"{self.measure},{self.filter}", f"{self.measure}_stderr,{self.filter}"
        mean, error = (self.task.said("results", name, key) for key in keys)
        both = isinstance(mean, int | float) and isinstance(error, int | float)
        return Outcomes(
            source=source,
            measure=self.measure,
            kind=Kind.LIKELIHOOD if self.way.likelihood else Kind.PASS if self.passes else Kind.SCORE,
            items=self.items,
            falls=self.way.falls,
            unit=self.way.unit,
            filter=self.filter,
            others=self.others,
            prompts=self.prompts,
            task=name if _parts(self.task.path)[1] else "",
            reported=(float(mean), float(error)) if both else None,
        )


def _read_task(task: Task, metric: str, filter: str) -> _Measured:
    filters = list(dict.fromkeys(str(row.get("filter", "none")) for _, row in task.rows))
    if filter and filter not in filters:
        raise CompareError(f"{task.path} has no filter {short(filter)}; there are {named(filters)}")
    chosen = filter or filters[0]
    rows = [(line, row) for line, row in task.rows if str(row.get("filter", "none")) == chosen]
    names = _metrics_of(rows[0][1])
    usable = [name for name in names if _is_usable(name, rows[0][1].get(name))]
    if metric and metric not in names:
        raise CompareError(f"{task.path} has no metric {short(metric)}; there are {named(names)}")
    if (metric and metric not in usable) or not usable:
        what = f"metric {metric} has" if metric else f"{named(names)} have"
        other = f"; choose {named(usable)}" if usable else ""
        raise CompareError(f"{task.path}: {what} no value for a single document, only for all{other}")
    measure = metric or usable[0]
    first = rows[0][1].get(measure)
    likelihood = measure == "perplexity" or isinstance(first, list)
    way = _Way(likelihood, _ROLLING.get(measure, "") if isinstance(first, list) else "", False)
    if not likelihood and task.said("higher_is_better", task.name, measure) is False:
        way = way._replace(falls=True)
    items, prompts = _items(task, rows, measure, way.falls)
    others = [*(name for name in usable if name != measure), *(each for each in filters if each != chosen)]
    return _Measured(task, measure, chosen, way, items, prompts, tuple(others))


def _items(
    task: Task, rows: Sequence[Row], measure: str, falls: bool
) -> tuple[dict[str, Item], dict[str, str]]:
    """Each document's item and the hash of its prompt, by the document's number."""
    items: dict[str, Item] = {}
    prompts: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line, row in rows:
        where = f"{task.path}, line {line}"
        name = id_in(row["doc_id"], where)
        if name in items:
            raise CompareError(f"{where}: doc_id {short(name)} is already taken by line {lines[name]}")
        if measure not in row:
            raise CompareError(f"{where}: has no `{measure}`")
        given, size = row[measure], None
        if isinstance(given, list) and _is_usable(measure, given):
            given, size = given
        value = number(given, f"{where}: `{measure}`")
        lines[name] = line
        items[name] = Item(
            value=-value if falls and value is not None else value,
            size=size,
            content=f"{row.get('doc_hash', '')}{row.get('target_hash', '')}",
        )
        prompts[name] = str(row.get("prompt_hash", ""))
    return items, prompts


def _metrics_of(row: dict[str, Any]) -> list[str]:
    """Metrics that a row names; earlier versions did not list them."""
    listed = row.get("metrics")
    if isinstance(listed, list):
        return [str(name) for name in listed]
    return [name for name in row if name not in _NOT_METRICS]


def _is_usable(metric: str, value: Any) -> bool:
    """Whether a metric's value is of one document; others hold what only all documents together make one."""
    if metric in _ROLLING:
        return isinstance(value, list) and len(value) == 2 and isinstance(value[1], int) and value[1] > 0
    return value is None or isinstance(value, bool | int | float)


def _parts(path: Path) -> tuple[str, str]:
    """Task and time in the name of a sample file; of a file by another name, its stem and no time."""
    task, _, time = path.stem.removeprefix("samples_").rpartition("_")
    return (task, time) if path.name.startswith("samples_") and task else (path.stem, "")
