"""What a trial came to, told from the stages that it has done."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from engine.records import Challenger, Evaluation, TrainFailure, TrialRecord


class Read(Protocol):
    """The record of a stage that is done; None of any other."""

    def __call__(self, stage: str, cls: Any) -> Any: ...


class Outcome(NamedTuple):
    """How far a trial has come."""

    rungs: tuple[Evaluation, ...]
    challenger: Challenger | None
    """The last one measured; None where training has failed."""
    failure: str
    """Why its training has failed; empty where it has not."""
    over: bool
    """Nothing is left to be trained."""


def stage(rung: int, name: str) -> str:
    return f"rungs/{rung}/{name}"


def trained(read: Read, rung: int) -> Challenger | TrainFailure | None:
    """What the training to a rung came to, where it was done."""
    found: Challenger | TrainFailure | None = read(stage(rung, "train"), Challenger | TrainFailure)
    return found


def outcome(read: Read, num_rungs: int) -> Outcome:
    """Of a trial's whole run, by what it has done."""
    rungs: list[Evaluation] = []
    challenger: Challenger | None = None
    failure = ""
    for rung in range(num_rungs):
        result = trained(read, rung)
        if isinstance(result, TrainFailure):
            failure, challenger = result.reason, None
        elif evaluation := read(stage(rung, "select"), Evaluation):
            rungs.append(evaluation)
            challenger = result
    over = challenger is not None and (challenger.stopped_early or len(rungs) == num_rungs)
    return Outcome(tuple(rungs), challenger, failure, over)


def best(trials: Sequence[TrialRecord]) -> TrialRecord:
    """The finished trial with the most problems of the selection split right, the first of equals."""
    finished = [trial for trial in trials if trial.status == "finished"]
    return max(finished, key=lambda trial: (trial.rungs[-1].strict.rate, -trial.number))
