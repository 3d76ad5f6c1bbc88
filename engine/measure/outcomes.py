"""What a model answered, in files: a line a problem with its verdict, as `ratchet compare` reads them.

    ratchet eval LINE --task TASK --data problems.json --out answers.jsonl

A row has the problem (``id``, ``task``, ``slice``, ``story``, ``origin``, ``turns``) and the model (``model``
as it was named, ``model_id``). Of an answer it says ``pass`` (null where UNDECIDED), ``right``, ``fault``,
``reason``, ``answer``, the ``reply``, or the ``replies`` of a dialogue, and the ``score`` where the verifier
grades; of a passage ``nll`` (null where it is not finite) and ``num_tokens``.
"""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.disk.files import replace_file, require_replaceable
from engine.records import Answer, Likelihood, Problem, Status
from engine.tasks.suite import DataError

_PASSED = {Status.PASS: True, Status.FAIL: False, Status.UNDECIDED: None}


def files_for(out: Path | None, models: Sequence[str]) -> dict[str, Path]:
    """The file for each model's rows; none without `out`.

    For one model it is `out` itself; for several the model's name stands before the suffix, because two files
    are compared by what one model each answered. Raises DataError where a file exists or cannot be written.
    """
    if out is None:
        return {}
    names = list(dict.fromkeys(models))
    files = {name: out if len(names) == 1 else _with_model(out, name) for name in names}
    for name, file in files.items():
        if other := next((each for each in names if each != name and files[each] == file), None):
            raise DataError(f"--out {out}: {name} and {other} would both be written to {file}")
        _require_new(file)
    return files


def _with_model(out: Path, name: str) -> Path:
    short = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    return out.with_name(f"{out.stem}.{short}{out.suffix}")


def _require_new(file: Path) -> None:
    if os.path.lexists(file):
        raise DataError(f"--out never overwrites, but {file} exists: name another file, or remove it")
    try:
        require_replaceable(file)
    except OSError as error:
        raise DataError(f"--out {file} cannot be written: {error.strerror}") from None


def write_rows(
    file: Path, model: str, problems: Sequence[Problem], given: Sequence[Answer | Likelihood]
) -> None:
    """Write what a model, by the name it was asked for, made of each problem: all rows or none."""
    rows = [row_of(model, problem, each) for problem, each in zip(problems, given, strict=True)]
    if any("score" in row for row in rows):
        # An answer without a grade among graded ones is not left out, or its row could not be compared.
        rows = [{**row, "score": row.get("score")} for row in rows]
    replace_file(file, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode())


def row_of(model: str, problem: Problem, given: Answer | Likelihood) -> dict[str, Any]:
    """One row of the file, as the module describes it."""
    if isinstance(given, Likelihood):
        model_id = given.model_id
        nll = given.nll if math.isfinite(given.nll) else None
        outcome: dict[str, Any] = {"nll": nll, "num_tokens": given.num_tokens}
    else:
        model_id, outcome = given.attempt.model_id, _answered(given)
    about = {name: getattr(problem, name) for name in ("task", "slice", "story", "origin", "turns")}
    return {"id": problem.id, "model": model, "model_id": model_id, **about, **outcome}


def _answered(given: Answer) -> dict[str, Any]:
    verdict, replies = given.verdict, given.attempt.replies
    is_graded = verdict.grade is not None and math.isfinite(verdict.grade)
    return {
        "pass": _PASSED[verdict.status],
        **({"score": verdict.grade} if is_graded else {}),
        **{name: getattr(verdict, name) for name in ("right", "fault", "reason", "answer")},
        **({"reply": replies[0]} if len(replies) == 1 else {"replies": replies}),
    }


def faults_in(given: Sequence[Answer | Likelihood]) -> dict[str, int]:
    """How many answers did not pass, by the fault that their verdicts name, the most frequent first."""
    verdicts = [each.verdict for each in given if isinstance(each, Answer)]
    counts = Counter(str(each.fault) for each in verdicts if each.status is not Status.PASS)
    return dict(counts.most_common())
