"""Reads the files of a run for its report, whether or not the run has ended, and refuses damaged ones."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs.load import ConfigError
from configs.schema import Config
from engine.disk.home import home_of
from engine.disk.jsonl import RowError, objects
from engine.earlier import begun_by_earlier, config_of
from engine.errors import Mistake
from engine.records import Baseline, Final, Measured, RoundRecord, Summary, fault_in, from_json
from engine.registry.exported import Export, exports_of
from engine.tasks.snapshots import Snapshot, snapshot_of

_ANSWERS = ({"attempt", "verdict"}, {"nll", "num_tokens"}, {"champion", "challenger"})
"""Keys of the records that hold answers: `Answer`, `Likelihood` and `Duel`."""


class ReportError(Mistake):
    """A run directory cannot be reported on; the message names the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """The content of a run's files."""

    name: str
    config: Config
    config_text: str
    environment: dict[str, Any]
    metrics: list[dict[str, Any]]
    baseline: tuple[Measured, ...]
    """Evaluations of the untrained base; empty if it was not measured."""
    rounds: list[RoundRecord]
    answering: dict[int, frozenset[str]]
    """For each round, the stages whose output is a model's answers."""
    underway: list[tuple[int, list[str]]]
    """Rounds without a record yet: their numbers and the stages that are done."""
    final: Final | None
    """The first and the last champion on the sealed problems, once those have been opened."""
    summary: Summary | None
    """Written when the run has ended."""
    snapshot: Snapshot | None
    """The curated data that the run works on; None where its task has none."""
    exports: tuple[Export, ...]
    """What has been exported of its last champion."""


def read_run(run_dir: Path) -> RunFiles:
    """Read the run in a directory. Raises ReportError if it is not a run, or is damaged."""
    names = ("config.yaml", "environment.json", "baseline.json", "final.json", "summary.json")
    config, environment, baseline, final, summary = (run_dir / name for name in names)
    if not config.is_file():
        raise ReportError(f"{run_dir} is not a run: it has no config.yaml")
    if begun_by_earlier(run_dir):
        raise ReportError(
            f"{run_dir} is a run of an earlier version of Ratchet, whose records this one does not read; "
            "that version wrote its report.html"
        )
    settings = _resolved(config)
    rounds, underway, answering = [], [], {}
    for directory in sorted(path for path in run_dir.glob("rounds/*") if path.name.isdecimal()):
        answering[int(directory.name)] = _answering(directory)
        if (directory / "round.json").exists():
            rounds.append(_record(directory / "round.json", RoundRecord))
        else:
            done = sorted(directory.glob("*.json*"), key=lambda path: path.stat().st_mtime)
            underway.append((int(directory.name), [path.stem for path in done]))
    ended = _record(summary, Summary) if summary.exists() else None
    champion = ended.champion if ended else rounds[-1].champion_after if rounds else ""
    home = home_of(run_dir.resolve())
    try:
        return RunFiles(
            name=run_dir.resolve().name,
            config=settings,
            config_text=config.read_text(encoding="utf-8", errors="replace"),
            environment=json.loads(environment.read_bytes()) if environment.exists() else {},
            metrics=rows_of(run_dir / "metrics.jsonl"),
            baseline=_record(baseline, Baseline).measured if baseline.exists() else (),
            rounds=rounds,
            answering=answering,
            underway=underway,
            final=_record(final, Final) if final.exists() else None,
            summary=ended,
            snapshot=snapshot_of(settings.task, home) if home else None,
            exports=exports_of(home, champion) if home and champion else (),
        )
    except json.JSONDecodeError as error:
        raise ReportError(f"{environment} cannot be read: {error}") from error


def _resolved(config: Path) -> Config:
    """Load the run's config. Raises ReportError also if its gate is not written out in full."""
    try:
        settings = config_of(config.parent)
    except ConfigError as error:
        raise ReportError(str(error)) from error
    # The defaults may have changed since the run was judged.
    lacking = [
        f"gate.{key}" for key in type(settings.gate).model_fields if key not in settings.gate.model_fields_set
    ]
    if lacking:
        raise ReportError(f"{config} must be a run's resolved config, but it lacks {', '.join(lacking)}")
    return settings


def _answering(directory: Path) -> frozenset[str]:
    """Find the stages of a round that hold a model's answers, by the first line of their files."""
    found = set()
    for path in directory.glob("*.jsonl"):
        with path.open("rb") as file:
            line = file.readline()
        try:
            first = json.loads(line)
        except ValueError:
            continue
        if isinstance(first, dict) and any(keys <= first.keys() for keys in _ANSWERS):
            found.add(path.stem)
    return frozenset(found)


def _record(path: Path, cls: Any) -> Any:
    return record_of_file(path, cls, path.read_bytes())


def record_of_file(path: Path, cls: Any, content: bytes) -> Any:
    """Read a record from a file's content, or from one line of it. Raises ReportError if it is not one."""
    try:
        return from_json(cls, content)
    except ValidationError as error:
        name = getattr(cls, "__name__", cls)
        raise ReportError(f"{path} is not a valid {name}: {fault_in(error)}") from error


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read the objects of a file of JSON lines that may still be growing. Raises ReportError if damaged."""
    try:
        return objects(path, growing=True)
    except RowError as error:
        raise ReportError(str(error)) from error
