"""What the driver sends to its train workers and what they return: records, as JSON text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from configs.training import Training
from engine.models.nodes import ModelRef
from engine.records import TrainFailure, from_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt at a training, the same for all of its workers."""

    config: Training
    """With the micro-batch size of this attempt, and a user's own method by a path that workers can read."""
    deepspeed: dict[str, Any] | None
    parent: ModelRef
    out: Path
    """Seen by driver and workers: the rows are read from it, and the model is written to it."""
    scratch: Path
    """A directory of this attempt in `out`, for metrics and checkpoints."""
    threads: int
    seed: int
    until: float
    """Share of all optimizer steps after which the training pauses."""
    state: Path | None
    """The checkpoint of an earlier stretch to continue from."""
    cache: Path | None = None
    """A temporary directory of one worker; the worker itself fills it in."""

    @property
    def rows(self) -> Path:
        """The training rows, as JSON lines."""
        return self.out / "rows.jsonl"

    @property
    def accumulation(self) -> int:
        """Micro-batches that each worker accumulates for one optimizer step."""
        return self.config.batch_size // (self.config.micro_batch_size * self.config.num_workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A training that left a model in the job's ``out/model``."""

    num_steps: int
    num_tokens: int
    num_too_long: int
    """Rows that were left out because `max_length` does not hold them."""
    stopped_early: bool
    seconds: float
    tokens_per_second: float
    final_loss: float
    update_size: float
    reference: tuple[float, ...]
    not_learnt: tuple[str, ...]
    """Problems whose rows were held back for validation, or left out as too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFull:
    """A training that ended because a disk is full."""

    place: Path
    """The directory with the least space left, of those that a worker writes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A training that a mistake ended, such as one in a user's own method or in the model's template."""

    sentence: str


Outcome: TypeAlias = Trained | TrainFailure | DiskFull | Refused


def read_outcome(text: str | bytes) -> Outcome:
    """The outcome that `to_json` wrote; the four kinds of record share no field."""
    return from_json(Outcome, text)  # type: ignore[arg-type]  # pydantic reads a union
