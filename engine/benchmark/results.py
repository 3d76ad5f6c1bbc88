"""What one model made of a benchmark: figures, and the files that lm-evaluation-harness itself would write.

    OUT/<model>/results_<time>.json            figures of each task and group
    OUT/<model>/samples_<task>_<time>.jsonl    a row for each document and filter

So `ratchet compare` reads them, and so does whatever reads the harness's own.
"""

import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from engine.benchmark.package import VERSION
from engine.disk.files import make_dirs, replace_file, sync_dir


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One metric of a task or group."""

    task: str
    metric: str
    filter: str
    """What was made of an answer before it was measured; ``none`` for nothing."""
    value: float | None
    """None where it is no number."""
    error: float | None
    """Standard error, as the harness estimates it; None where it gives none."""
    higher: bool | None
    """Whether more is better; None where the task does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One model's figures, and what they rest on."""

    name: str
    """As it was asked for."""
    model_id: str
    values: tuple[Value, ...]
    num_documents: dict[str, int]
    """By task."""
    samples: dict[str, str]
    """The file of each task's samples."""
    num_asked: int
    """Different prompts."""
    num_kept: int
    """Of these, prompts that had been answered before and were not asked again."""
    num_cut: int
    """Prompts that lost their beginning because they were too long, of those that were asked now."""
    seconds: float


def values_of(found: Mapping[str, Any]) -> tuple[Value, ...]:
    """The figures in what `lm_eval.evaluator.evaluate` returns, in its order."""
    values = []
    for task, metrics in found["results"].items():
        ways = found.get("higher_is_better", {}).get(task, {})
        for key, value in metrics.items():
            metric, comma, filter = key.partition(",")
            if comma and not metric.endswith("_stderr"):
                values.append(
                    Value(
                        task=task,
                        metric=metric,
                        filter=filter,
                        value=_number(value),
                        error=_number(metrics.get(f"{metric}_stderr,{filter}")),
                        higher=ways.get(metric),
                    )
                )
    return tuple(values)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


def write_results(
    folder: Path, stamp: str, found: Mapping[str, Any], about: Mapping[str, Any]
) -> dict[str, str]:
    """Write a model's files, all or none, into a folder that is not there yet; returns those of the samples.

    `stamp` is the time in their names, `about` what the figures are of. Raises OSError that names a file.
    """
    staging = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(staging, ignore_errors=True)
    make_dirs(staging)
    try:
        names = {task: f"samples_{task.replace('/', '_')}_{stamp}.jsonl" for task in found["samples"]}
        for task, name in names.items():
            rows = (_row_of(sample) for sample in found["samples"][task])
            replace_file(staging / name, "".join(_json(row) + "\n" for row in rows).encode())
        whole = {key: value for key, value in found.items() if key != "samples"}
        whole |= {"config": dict(about), "lm_eval_version": VERSION, "date": stamp}
        replace_file(staging / f"results_{stamp}.json", _json(whole, indent=2).encode())
        os.rename(staging, folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync_dir(folder.parent)
    return {task: str(folder / name) for task, name in names.items()}


def _row_of(sample: Mapping[str, Any]) -> dict[str, Any]:
    """A sample as the harness's own tracker writes it."""
    from lm_eval.utils import sanitize_list

    arguments = {
        f"gen_args_{number}": {f"arg_{place}": argument for place, argument in enumerate(asked)}
        for number, asked in enumerate(sample["arguments"])
    }
    responses = {key: sanitize_list(sample[key]) for key in ("resps", "filtered_resps")}
    return {**sample, **responses, "arguments": arguments, "target": str(sample["target"])}


def _json(value: Any, indent: int | None = None) -> str:
    from lm_eval.utils import handle_non_serializable

    return json.dumps(value, default=handle_non_serializable, ensure_ascii=False, indent=indent)


def metrics_of(measured: Iterable[Measured]) -> list[tuple[str, str, str]]:
    """The metrics of several models as (task, metric, filter), each once, in their order."""
    keys = [(each.task, each.metric, each.filter) for one in measured for each in one.values]
    return list(dict.fromkeys(keys))
