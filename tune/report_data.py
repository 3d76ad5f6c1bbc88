"""Reads the files of a sweep's run for its report and dashboard, even while its trials are running."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from configs.sweep import Campaign, Sweep, Value, leaves
from engine.report.data import RunFiles, read_run, record_of_file, rows_of
from tune.outcome import TrialRecord, stage, stage_reader, trial_record
from tune.plan import sweep_of

UNDER_WAY = "under way"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFiles:
    """One trial and its progress."""

    record: TrialRecord
    state: str
    """``finished``, ``stopped``, ``failed`` or, before the search has ended, ``under way``."""
    measured: tuple[float, ...]
    """When each rung was measured, in seconds of work since the search began."""
    ended: float
    """When its last stage ended, in the same seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFiles:
    """The content of a sweep's files."""

    run: RunFiles
    """The files that a sweep's run shares with a campaign's."""
    sweep: Sweep
    campaign: Campaign
    sweep_text: str
    trials: list[TrialFiles]
    searched: bool
    """Whether the search has ended."""
    shared: dict[str, float]
    """Seconds by stage of the material that trials share."""
    worked: float
    """Seconds in which a stage of some trial was running."""

    def own(self, key: str) -> Value | None:
        """Return the campaign's own value of a dotted key, or None if it has none."""
        value: Any = self.campaign.config
        for name in key.split("."):
            value = getattr(value, name, None)
        return value if isinstance(value, int | float | bool | str) else None

    def value(self, trial: TrialRecord, key: str) -> Value | None:
        """Return a trial's value of a dotted key, which may be the campaign's own."""
        return trial.values[key] if key in trial.values else self.own(key)

    def command(self, trial: TrialRecord) -> str:
        """Write the command that runs a trial as a campaign, on the campaign's own line."""
        changes = [*leaves(self.sweep.set), *trial.values.items()]
        settings = [shlex.quote(f"{key}={_as_yaml(value)}") for key, value in changes if key != "line"]
        return " ".join(["ratchet run CONFIG", *settings])


def _as_yaml(value: Any) -> str:
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w./-]*", value)
    return value if plain and yaml.safe_load(value) == value else json.dumps(value)


def read_sweep(run_dir: Path) -> SweepFiles:
    """Read the sweep in a directory. Raises ReportError or ConfigError if it is none, or is damaged."""
    run = read_run(run_dir)
    sweep, campaign = sweep_of(run_dir)
    journals = {path.parent.name: rows_of(path) for path in run_dir.glob("trials/*/journal.jsonl")}
    shared = [entry for path in sorted(run_dir.glob("material/*/journal.jsonl")) for entry in rows_of(path)]
    clock = Clock([*(entry for entries in journals.values() for entry in entries), *shared])
    searched = (run_dir / "trials.jsonl").exists()
    trials = []
    for record, state in _recorded(run_dir) if searched else _so_far(run_dir, sweep.rungs):
        ended = {entry["stage"]: clock.at(entry["time"]) for entry in journals.get(_name(record.number), [])}
        measured = (ended.get(stage(rung, "select")) for rung in range(len(record.rungs)))
        trials.append(
            TrialFiles(
                record=record,
                state=state,
                measured=tuple(it for it in measured if it is not None),
                ended=max(ended.values(), default=0.0),
            )
        )
    seconds: dict[str, float] = {}
    for entry in shared:
        seconds[entry["stage"]] = seconds.get(entry["stage"], 0.0) + entry["seconds"]
    return SweepFiles(
        run=run,
        sweep=sweep,
        campaign=campaign,
        sweep_text=(run_dir / "sweep.yaml").read_text(encoding="utf-8", errors="replace"),
        trials=trials,
        searched=searched,
        shared=seconds,
        worked=clock.total,
    )


class Clock:
    """Counts only the seconds in which some stage ran, so an interruption overnight costs nothing."""

    def __init__(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Take the lines of journals: when each stage ended, in seconds since 1970, and how long it took."""
        self._spans: list[tuple[float, float]] = []
        for begin, end in sorted((entry["time"] - entry["seconds"], entry["time"]) for entry in entries):
            if self._spans and begin <= self._spans[-1][1]:
                self._spans[-1] = (self._spans[-1][0], max(end, self._spans[-1][1]))
            else:
                self._spans.append((begin, end))

    @property
    def total(self) -> float:
        """All seconds in which some stage ran."""
        return sum(end - begin for begin, end in self._spans)

    def at(self, time: float) -> float:
        """The seconds that had been counted at a time."""
        return sum(min(end, time) - begin for begin, end in self._spans if begin < time)


def _name(number: int) -> str:
    """Name a trial's directory under the sweep's `trials`."""
    return f"{number:03d}"


def _recorded(run_dir: Path) -> Iterator[tuple[TrialRecord, str]]:
    path = run_dir / "trials.jsonl"
    for line in path.read_bytes().splitlines():
        record = record_of_file(path, TrialRecord, line)
        yield record, record.status


def _so_far(run_dir: Path, num_rungs: int) -> Iterator[tuple[TrialRecord, str]]:
    """Read the trials of a search that has not ended, by the stages they have finished."""
    for tried in rows_of(run_dir / "tried.jsonl"):
        number, place = tried["number"], run_dir / "trials" / _name(tried["number"])
        record = trial_record(place, number, tried["values"], num_rungs, stage_reader(place))
        # Only the end of the search tells whether the scheduler has stopped it.
        yield record, UNDER_WAY if record.status == "stopped" else record.status
