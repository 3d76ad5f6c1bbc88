"""Reads the files of an experiment's run, also while its trials are running; nothing is locked or written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.experiment import NONE, Design
from engine.errors import Mistake, cause_of
from engine.measure.evaluate import Unjudged
from engine.records import Challenger, Problem, SentinelScores, TrainFailure
from engine.report.data import ReportError, RunFiles, read_run, record_of_file, rows_of
from tune.arms import KINDS, LEARNT, MEASURE, PROBLEMS, ArmTrial, FaultKind, Learnt, Reading
from tune.asked import Tokens, asked_in
from tune.evidence import Evidence
from tune.ground import CHAMPION, GROUND, Ground
from tune.meter import METER, Spent, spent
from tune.outcome import (
    StageReader,
    memory_in,
    seconds_in,
    stage,
    stage_reader,
    training_result,
)
from tune.plan import experiment_of
from tune.trial import TrainingLost
from tune.tuner import reason_of
from tune.watched import WATCHED, Broke

BEGUN, TRIALS = "begun", "trials"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What an experiment is known by, and the seed of its problems."""

    experiment_id: str
    """``EXP-YYYY-MM-DD-NNN``, which no other experiment of this home has."""
    date: str
    entropy: int
    """Drawn when it began, so that nothing could be aimed at its problems before."""
    code_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentFiles:
    """The content of an experiment's files."""

    run: RunFiles
    design: Design
    design_text: str
    begun: Begun
    trials: list[ArmTrial]
    evidence: Evidence | None
    """None until the champion has been measured."""
    seconds: dict[str, float]
    """Time by stage, of the experiment's own stages and of all its trials together."""
    asked: Tokens
    """Tokens that models sampled and read before and in trials, but for the sentinels."""
    spent: Spent
    ended: bool
    """Whether all trials are over."""
    broken: list[Broke]
    """What broke in the trials; nothing before they are over."""


def read_experiment(run_dir: Path) -> ExperimentFiles:
    """Read the experiment in a directory. Raises ReportError or ConfigError if it is none, or is damaged."""
    run, design = read_run(run_dir), experiment_of(run_dir)
    read = stage_reader(run_dir)
    begun = read(BEGUN, Begun)
    if begun is None:
        raise ReportError(f"{run_dir} is an experiment that has not begun")
    trials = trials_of(run_dir, design)
    evidence = _evidence(run_dir, design, read, trials)
    return ExperimentFiles(
        run=run,
        design=design,
        design_text=(run_dir / "design.yaml").read_text(encoding="utf-8", errors="replace"),
        begun=begun,
        trials=trials,
        evidence=evidence,
        seconds=_seconds(run_dir, trials),
        asked=_asked(run_dir, evidence, trials),
        spent=spent(run_dir / METER),
        ended=(run_dir / f"{TRIALS}.jsonl").exists(),
        broken=_records(watched, Broke) if (watched := run_dir / f"{WATCHED}.jsonl").exists() else [],
    )


def _asked(run_dir: Path, evidence: Evidence | None, trials: Sequence[ArmTrial]) -> Tokens:
    readings = [evidence.champion] if evidence else []
    readings += [reading for trial in trials for reading in trial.readings]
    return sum((reading.asked for reading in readings), asked_in(run_dir))


def _evidence(run_dir: Path, design: Design, read: StageReader, trials: list[ArmTrial]) -> Evidence | None:
    ground = read(GROUND, Ground)
    if ground is None:
        return None
    problems = _records(run_dir / f"{PROBLEMS}.jsonl", Problem)
    return Evidence(
        design=design,
        ground=ground,
        problems=problems,
        champion=read(f"{CHAMPION}/{MEASURE}", Reading),
        sentinels=sentinels_of(suites_asked(run_dir), read),
        trials=trials,
    )


def trials_of(run_dir: Path, design: Design) -> list[ArmTrial]:
    """All trials: as they were recorded when the last had ended, before that by what they have finished."""
    path = run_dir / f"{TRIALS}.jsonl"
    if path.exists():
        return _records(path, ArmTrial)
    return [arm_trial_of(run_dir, design, number) for number in range(len(design.trials))]


def arm_trial_of(run_dir: Path, design: Design, number: int, error: Exception | None = None) -> ArmTrial:
    """One trial by the stages that it has finished; `error` is what ended its process, if anything did."""
    arm, seed = design.trials[number]
    path = run_dir / "trials" / f"{number:03d}"
    read = stage_reader(path)
    challenger: Challenger | None = None
    fault: FaultKind | None = None
    reason = ""
    readings = []
    for rung in range(design.settings.rungs):
        result = training_result(read, rung)
        if isinstance(result, TrainFailure):
            fault, reason = KINDS[result.fault], result.reason
        challenger = result if isinstance(result, Challenger) else challenger
        if reading := read(stage(rung, MEASURE), Reading):
            readings.append(reading)
    trained = len(readings) == (1 if arm == NONE else design.settings.rungs)
    stopped = challenger is not None and challenger.stopped_early and bool(readings)
    suites = suites_asked(run_dir)
    sentinels = sentinels_of(suites, read)
    over = (trained or stopped) and len(sentinels) == len(suites)
    if error and not over and not fault:
        fault, reason = _kind(error), reason_of(error)
    return ArmTrial(
        number=number,
        arm=arm,
        seed=seed,
        status="failed" if fault else "finished" if over else "under way",
        fault=fault,
        reason=reason,
        learnt=read(LEARNT, Learnt),
        readings=tuple(readings),
        sentinels=tuple(sentinels),
        challenger=challenger,
        seconds=seconds_in(path),
        memory_mib=memory_in(path),
    )


def _kind(error: Exception) -> FaultKind:
    """The kind of an error that ended a trial's process."""
    cause = cause_of(error)
    if isinstance(cause, TrainingLost):
        return KINDS[cause.fault]
    if isinstance(cause, MemoryError) or type(cause).__name__ == "OutOfMemoryError":
        return "memory"
    return "data" if isinstance(cause, Mistake | Unjudged) else "infrastructure"


def suites_asked(run_dir: Path) -> list[str]:
    """Names of the suites and guards that the champion of an experiment was asked, and every trial is."""
    stages = [row["stage"] for row in rows_of(run_dir / "journal.jsonl")]
    return [stage.partition("/")[2] for stage in stages if stage.startswith("sentinels/")]


def sentinels_of(suites: Sequence[str], read: StageReader) -> list[SentinelScores]:
    """What a model scored on each suite that it has been asked."""
    found = (read(f"sentinels/{suite}", SentinelScores) for suite in suites)
    return [each for each in found if each is not None]


def _records(path: Path, cls: Any) -> list[Any]:
    return [record_of_file(path, cls, line) for line in path.read_bytes().splitlines()]


def _seconds(run_dir: Path, trials: list[ArmTrial]) -> dict[str, float]:
    """Time by stage; a trial's stages of the same name are added up, as are those of shared material."""
    found: dict[str, float] = {}

    def add(name: str, seconds: float) -> None:
        found[name] = round(found.get(name, 0.0) + seconds, 3)

    for row in rows_of(run_dir / "journal.jsonl"):
        add(row["stage"], row["seconds"])
    for file in sorted(run_dir.glob("material/*/journal.jsonl")):
        for row in rows_of(file):
            add(f"material/{row['stage'].rpartition('/')[2]}", row["seconds"])
    for trial in trials:
        for name, seconds in trial.seconds.items():
            add(f"trials/{name.rpartition('/')[2] if name.startswith('rungs/') else name}", seconds)
    return found
