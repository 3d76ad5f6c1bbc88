"""Files of outcomes: one JSON object a line, with an `id` and `pass`, `score` or a log-likelihood.

    {"id": "q1", "pass": true, "story": "s1", "slice": "easy"}

``ratchet eval --out FILE`` writes such a file. Keys that are not known are let pass. The sample files of
lm-evaluation-harness are read as well (`engine/gate/harness.py`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from engine.disk.jsonl import numbered_objects
from engine.gate.harness import Row, Task, is_sample, read_tasks, tasks_in
from engine.gate.outcomes import (
    CompareError,
    Item,
    Kind,
    Outcomes,
    id_in,
    named,
    number,
    require_same_items,
    short,
)

_MEASURES = ("pass", "score", "nll", "loglikelihood", "logprob")
"""What is compared where nothing is chosen: the first of these that a file holds."""
_LIKELIHOODS = ("nll", "loglikelihood", "logprob")


class Choice(NamedTuple):
    """What of two files is compared; by default what they name first."""

    metric: str = ""
    filter: str = ""
    tasks: tuple[str, ...] = ()


def read_pair(old: Path, new: Path, choice: Choice = Choice()) -> tuple[Outcomes, Outcomes]:
    """The outcomes of two models on the same items. Raises CompareError or RowError for what does not fit."""
    first, second = read(old, choice), read(new, choice)
    require_same_items(first, second)
    return first, second


def read(path: Path, choice: Choice = Choice()) -> Outcomes:
    """The outcomes in a file, or in a directory of lm-evaluation-harness.

    Raises RowError for a line that is no JSON object, CompareError for one without what is compared.
    """
    if path.is_dir():
        return read_tasks(path, tasks_in(path, choice.tasks), choice.metric, choice.filter)
    rows = list(numbered_objects(path))
    if not rows:
        raise CompareError(f"{path} holds no line; the file has one JSON object a line")
    if is_sample(rows[0][1]):
        task = Task.of_file(path, rows)
        if choice.tasks and choice.tasks != (task.name,):
            raise CompareError(f"{path} is of task {task.name}, got --task {' --task '.join(choice.tasks)}")
        return read_tasks(path, [task], choice.metric, choice.filter)
    for option, value in (("--filter", choice.filter), ("--task", choice.tasks)):
        if value:
            raise CompareError(f"{path} is no sample file of lm-evaluation-harness: {option} has no effect")
    return _read_rows(path, rows, choice.metric)


def _read_rows(path: Path, rows: Sequence[Row], metric: str) -> Outcomes:
    measure = metric or _measure_in(path, rows)
    items: dict[str, Item] = {}
    lines: dict[str, int] = {}
    sized = measure in _LIKELIHOODS and all("num_tokens" in row for _, row in rows)
    for line, row in rows:
        where = f"{path}, line {line}"
        if "id" not in row:
            raise CompareError(f"{where}: has no `id`{_has(row)}")
        name = id_in(row["id"], where)
        if name in items:
            raise CompareError(f"{where}: id {short(name)} is already taken by line {lines[name]}")
        lines[name], items[name] = line, _item(row, measure, sized, where)
    kind = Kind.LIKELIHOOD if measure in _LIKELIHOODS else Kind.PASS if measure == "pass" else Kind.SCORE
    return Outcomes(
        source=str(path),
        measure=measure,
        kind=kind,
        items=items,
        falls=measure == "nll",
        unit="token" if sized else "",
        others=tuple(each for each in _MEASURES if each in rows[0][1] and each != measure),
    )


def _measure_in(path: Path, rows: Sequence[Row]) -> str:
    """The first measure that any row gives a value; one that is undecided throughout only without another."""
    there = [each for each in _MEASURES if each in rows[0][1]]
    if not there:
        needs = f"needs one of {', '.join(_MEASURES)}, or --metric KEY"
        raise CompareError(f"{path}, line {rows[0][0]}: {needs}{_has(rows[0][1])}")
    return next((each for each in there if any(row.get(each) is not None for _, row in rows)), there[0])


def _item(row: dict[str, Any], measure: str, sized: bool, where: str) -> Item:
    if measure not in row:
        raise CompareError(f"{where}: has no `{measure}`{_has(row)}")
    value = number(row[measure], f"{where}: `{measure}`")
    if measure == "pass" and value not in (None, 0.0, 1.0):
        raise CompareError(f"{where}: `pass` must be true, false or null, got {short(row[measure])}")
    size = row["num_tokens"] if sized else None
    if sized and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise CompareError(f"{where}: `num_tokens` must be a whole number from 1, got {short(size)}")
    return Item(
        value=-value if measure == "nll" and value is not None else value,
        size=size,
        story=_label(row, "story", where),
        slice=_label(row, "slice", where),
    )


def _has(row: dict[str, Any]) -> str:
    """The keys that a row has, for a message about one that it lacks."""
    return f"; it has {named(list(row))}" if row else "; it has nothing"


def _label(row: dict[str, Any], key: str, where: str) -> str:
    value = row.get(key)
    return "" if value in (None, "") else id_in(value, f"{where}: `{key}`")
