"""The result of a trial, read from the stages that it has finished."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from engine.records import Challenger, Evaluation, TrainFailure
from engine.report.data import record_of_file, rows_of
from engine.report.figures import text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """The result of one trial of a sweep."""

    number: int
    """0 is the campaign as it is."""
    values: dict[str, int | float | bool | str]
    """Values by dotted key, where they differ from the campaign's."""
    status: Literal["finished", "stopped", "failed"]
    """``stopped`` means that the scheduler ended the trial before its training was over."""
    reason: str = ""
    """Why the trial failed."""
    rungs: tuple[Evaluation, ...] = ()
    """Evaluations on the selection split. Of a finished trial the last one follows the whole training."""
    challenger: Challenger | None = None
    """The last model trained; None if training failed."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time by stage."""
    memory_mib: int = 0
    """Peak memory of a training worker."""


class StageReader(Protocol):
    """Returns the record of a finished stage, None for any other stage."""

    def __call__(self, stage: str, cls: Any) -> Any: ...


class Progress(NamedTuple):
    """The progress of a trial."""

    rungs: tuple[Evaluation, ...]
    challenger: Challenger | None
    """The last model measured; None if training failed."""
    failure: str
    """Why training failed; empty if it did not."""
    over: bool
    """Whether nothing is left to train."""


def stage(rung: int, name: str) -> str:
    """Name a stage of a trial."""
    return f"rungs/{rung}/{name}"


def stage_reader(place: Path) -> StageReader:
    """Reads the records of finished stages in a run's directory, which nothing locks."""
    done = {row["stage"] for row in rows_of(place / "journal.jsonl")}

    def read(stage: str, cls: Any) -> Any:
        file = place / f"{stage}.json"
        return record_of_file(file, cls, file.read_bytes()) if stage in done and file.exists() else None

    return read


def seconds_in(place: Path) -> dict[str, float]:
    """Time of every finished stage in a run's directory."""
    return {row["stage"]: row["seconds"] for row in rows_of(place / "journal.jsonl")}


def memory_in(place: Path) -> int:
    """Peak memory of a run's training worker, in MiB; 0 before it has said."""
    return max((row.get("memory_mib", 0) for row in rows_of(place / "metrics.jsonl")), default=0)


def training_result(read: StageReader, rung: int) -> Challenger | TrainFailure | None:
    """Read the result of the training up to a rung; None if it has not finished."""
    found: Challenger | TrainFailure | None = read(stage(rung, "train"), Challenger | TrainFailure)
    return found


def outcome(read: StageReader, num_rungs: int) -> Progress:
    """Read the progress of a trial from its finished stages."""
    rungs: list[Evaluation] = []
    challenger: Challenger | None = None
    failure = ""
    for rung in range(num_rungs):
        result = training_result(read, rung)
        if isinstance(result, TrainFailure):
            failure, challenger = result.reason, None
        elif evaluation := read(stage(rung, "select"), Evaluation):
            rungs.append(evaluation)
            challenger = result
    over = challenger is not None and (challenger.stopped_early or len(rungs) == num_rungs)
    return Progress(tuple(rungs), challenger, failure, over)


def trial_record(
    place: Path,
    number: int,
    values: dict[str, int | float | bool | str],
    num_rungs: int,
    read: StageReader,
    error: str = "",
) -> TrialRecord:
    """A trial by the stages that it has finished in its directory; `error` says what ended its process."""
    result = outcome(read, num_rungs)
    failure = result.failure or ("" if result.over else error)
    return TrialRecord(
        number=number,
        values=values,
        status="failed" if failure else "finished" if result.over else "stopped",
        reason=failure,
        rungs=result.rungs,
        challenger=result.challenger,
        seconds=seconds_in(place),
        memory_mib=memory_in(place),
    )


def best(trials: Sequence[TrialRecord]) -> TrialRecord:
    """Choose the finished trial with the best headline on the selection split, the first of equals."""
    finished = [trial for trial in trials if trial.status == "finished"]
    return max(finished, key=lambda trial: (trial.rungs[-1].score, -trial.number))


def describe_score(evaluation: Evaluation) -> str:
    """Write a headline figure as the log shows it, to a tenth of a per cent."""
    head = evaluation.head
    return (
        f"{head.title} {100 * head.number:.1f} %" if head.unit == "share" else f"{head.title} {text_of(head)}"
    )
