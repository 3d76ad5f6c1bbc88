"""The files of a run, read for its report: finished or not, and refused where they are damaged."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs.load import ConfigError, load
from engine.records import Evaluation, Final, RoundRecord, from_json


class ReportError(ValueError):
    """A run directory that cannot be reported on; the message names the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The files of a run, read."""

    name: str
    config: dict[str, Any]
    config_text: str
    environment: dict[str, Any]
    metrics: list[dict[str, Any]]
    baseline: dict[str, Evaluation]
    """The untrained base: ``few_shot`` and ``sampled``; empty where it was not measured."""
    rounds: list[RoundRecord]
    underway: list[tuple[int, list[str]]]
    """Rounds without a record yet: number, and the stages that are done."""
    final: Final | None
    """Both ends of the campaign on the sealed problems, once these have been opened."""
    summary: dict[str, Any] | None
    """Written when the run has ended."""


def read_run(run_dir: Path) -> Run:
    """The run in a directory, finished or not. Raises ReportError for what is no run, or damaged."""
    names = ("config.yaml", "environment.json", "baseline.json", "final.json", "summary.json")
    config, environment, baseline, final, summary = (run_dir / name for name in names)
    if not config.is_file():
        raise ReportError(f"{run_dir} is not a run: it has no config.yaml")
    tree = _resolved(config)
    rounds, underway = [], []
    for directory in sorted(path for path in run_dir.glob("rounds/*") if path.name.isdecimal()):
        if (directory / "round.json").exists():
            rounds.append(_record(directory / "round.json", RoundRecord))
        else:
            done = sorted(directory.glob("*.json*"), key=lambda path: path.stat().st_mtime)
            underway.append((int(directory.name), [path.stem for path in done]))
    try:
        return Run(
            name=run_dir.resolve().name,
            config=tree,
            config_text=config.read_text(encoding="utf-8", errors="replace"),
            environment=json.loads(environment.read_bytes()) if environment.exists() else {},
            metrics=rows_of(run_dir / "metrics.jsonl"),
            baseline=_record(baseline, dict[str, Evaluation]) if baseline.exists() else {},
            rounds=rounds,
            underway=underway,
            final=_record(final, Final) if final.exists() else None,
            summary=_record(summary, dict[str, Any]) if summary.exists() else None,
        )
    except json.JSONDecodeError as error:
        raise ReportError(f"{environment} cannot be read: {error}") from error


def _resolved(config: Path) -> dict[str, Any]:
    """The run's config. Raises ReportError also where its gate was not written out: it would be a guess."""
    try:
        settings = load(config)
    except ConfigError as error:
        raise ReportError(str(error)) from error
    lacking = [
        f"gate.{key}" for key in type(settings.gate).model_fields if key not in settings.gate.model_fields_set
    ]
    if lacking:
        raise ReportError(f"{config} must be a run's resolved config, but it lacks {', '.join(lacking)}")
    return settings.model_dump(mode="json")


def _record(path: Path, cls: Any) -> Any:
    return record_of_file(path, cls, path.read_bytes())


def record_of_file(path: Path, cls: Any, content: bytes) -> Any:
    """A record that a file holds, or one of its lines. Raises ReportError where it is none."""
    try:
        return from_json(cls, content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "top level"
        name = getattr(cls, "__name__", cls)
        raise ReportError(f"{path} is not a valid {name}: {where}: {first['msg']}") from error


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Every complete line of a file of JSON lines; none where there is no such file. The last may be cut off
    while the run writes it, and is then left out."""
    rows = []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            rows += [json.loads(line)] if line else []
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise ReportError(f"{path}, line {number}, is not JSON: {error.msg}") from error
    return rows
