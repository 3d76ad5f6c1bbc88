"""Callbacks of a train worker: figures of every optimizer step, and signs that training must not continue.

Only workers import this file.
"""

import math
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import torch
from ray.train.huggingface.transformers import RayTrainReportCallback
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from engine.disk.journal import append_line, drop_torn_line
from engine.records import TrainFault
from engine.train.faults import Stopped

_LARGE, _BLOCK, _EVERY = 1 << 16, 64, 1024
"""A tensor of at least 65,536 weights is sampled: a block of 64 of every 1,024 (`_sampled`)."""


def is_explosion(loss: float, first: list[float], factor: float) -> bool:
    """Whether a loss is out of all proportion to the first ones.

    The first losses count as 2 nats at least: proofs that are nearly known may be learnt first, and plain
    text after them.
    """
    return not math.isfinite(loss) or loss > factor * max(2.0, sum(first) / len(first))


class UpdateSize:
    """Measures one step's update: the norm of the change of the trained weights over their norm before it.

    Frozen weights are neither read nor copied. Under ZeRO-3 the figure is that of this worker's share of the
    weights. Large tensors are sampled at a sixteenth: that is within a per cent of the whole, and takes a
    sixteenth of the time and memory of copying all weights at every step.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._before: list[torch.Tensor] = []

    def begin(self) -> None:
        """Remember the weights as they are before the step."""
        now = [_sampled(parameter) for parameter in self._parameters]
        if not self._before:
            self._before = [weights.clone() for weights in now]
        else:
            for before, weights in zip(self._before, now, strict=True):
                before.copy_(weights)

    def end(self) -> float:
        """The size of the update since `begin`, which must have been called."""
        squares = []
        for parameter, before in zip(self._parameters, self._before, strict=True):
            change = _sampled(parameter).float() - before.float()
            # A sampled tensor stands for all of its weights.
            scale = _own(parameter).numel() / before.numel()
            squares.append(
                torch.stack([change.square().sum(), before.float().square().sum()]).double() * scale
            )
        change_squared, weights_squared = torch.stack([pair.cpu() for pair in squares]).sum(0).tolist()
        return math.sqrt(change_squared / weights_squared) if weights_squared else 0.0


def _own(parameter: torch.nn.Parameter) -> torch.Tensor:
    """What this worker holds of a parameter: its share under ZeRO-3, else all of it."""
    return getattr(parameter, "ds_tensor", parameter).detach()


def _sampled(parameter: torch.nn.Parameter) -> torch.Tensor:
    flat = _own(parameter).flatten()
    return flat.unfold(0, _BLOCK, _EVERY) if flat.numel() >= _LARGE else flat


class Watch(TrainerCallback):
    """Writes every step's figures, and stops a training that goes wrong or no longer improves.

    The worker of rank 0 appends the figures to `metrics`. Every worker raises Stopped where the gradient is
    not finite, or where the loss is an explosion by the factor `explosion`. Training ends after `patience`
    validations without a new least loss. The last save is skipped, because the worker saves the finished
    model itself, merged.
    """

    def __init__(self, metrics: Path, *, rank: int, explosion: float, patience: int) -> None:
        self._metrics, self._writes = metrics, rank == 0
        self._explosion, self._patience = explosion, patience
        self._first: list[float] = []
        """Losses of the first three steps, to compare later ones with."""
        self._since, self._tokens = time.monotonic(), 0.0
        self._update: UpdateSize | None = None
        self._size = 0.0

    def on_train_begin(self, args, state, control, **_):  # type: ignore[no-untyped-def]
        """Go on from where a lost worker, or the stretch before, had come to."""
        if self._writes:
            drop_torn_line(self._metrics)
        self._since, self._tokens = time.monotonic(), float(state.num_input_tokens_seen)
        self._first = [entry["loss"] for entry in state.log_history if "loss" in entry][:3]

    def on_step_begin(self, args, state, control, model=None, **_):  # type: ignore[no-untyped-def]
        if self._writes:
            if self._update is None:
                self._update = UpdateSize(model.parameters())
            self._update.begin()

    def on_step_end(self, args, state, control, **_):  # type: ignore[no-untyped-def]
        if self._update is not None:
            self._size = self._update.end()
        if state.global_step >= state.max_steps:
            control.should_save = False

    def on_log(self, args, state, control, logs=None, **_):  # type: ignore[no-untyped-def]
        if not logs or "loss" not in logs:
            return
        loss, norm = float(logs["loss"]), float(logs.get("grad_norm", 0.0))
        # What TRL counts begins anew in each worker, what the state counts does not.
        tokens = float(logs.get("num_input_tokens_seen") or logs.get("num_tokens", 0.0))
        now = time.monotonic()
        speed = (tokens - self._tokens) / (now - self._since)
        self._since, self._tokens = now, tokens
        if self._writes:
            append_line(
                self._metrics,
                {
                    "time": round(time.time(), 3),
                    "step": state.global_step,
                    "loss": loss,
                    "learning_rate": logs.get("learning_rate"),
                    "grad_norm": norm,
                    "update_size": self._size,
                    "tokens": int(tokens),
                    "tokens_per_second": round(speed, 1),
                    "memory_mib": _memory_mib(),
                },
            )
        self._require_sound(state.global_step, loss, norm)

    def on_evaluate(self, args, state, control, **_):  # type: ignore[no-untyped-def]
        losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        if self._writes:
            append_line(self._metrics, {"step": state.global_step, "validation_loss": losses[-1]})
        if len(losses) - losses.index(min(losses)) > self._patience:
            control.should_training_stop = True

    def _require_sound(self, step: int, loss: float, norm: float) -> None:
        """Raises Stopped."""
        if not math.isfinite(norm):
            raise Stopped(TrainFault.NAN_GRADIENT, f"the gradient norm is {norm} at step {step}")
        if len(self._first) < 3:
            self._first.append(loss)
        if is_explosion(loss, self._first, self._explosion):
            start = sum(self._first) / len(self._first)
            reason = f"the loss is {loss:.3g} at step {step}, from {start:.3g}"
            raise Stopped(TrainFault.LOSS_EXPLODED, reason)


class Pause(TrainerCallback):
    """Ends training after the share `until` of its steps, with a checkpoint to continue from."""

    def __init__(self, until: float) -> None:
        self._until = until
        self.begun = 0
        """The step that training continued from."""

    def on_train_begin(self, args, state, control, **_):  # type: ignore[no-untyped-def]
        self.begun = state.global_step

    def on_step_end(self, args, state, control, **_):  # type: ignore[no-untyped-def]
        if self._until < 1 and state.global_step >= math.ceil(self._until * state.max_steps):
            control.should_save = control.should_training_stop = True


class Kept(TrainerCallback):
    """The last checkpoint of a worker that trains alone, in a directory that a worker in its place sees.

    It is whole there as soon as it has its name. Several workers leave theirs to Ray Train, which puts their
    parts together.
    """

    def __init__(self, place: Path) -> None:
        self._place = place

    def last(self) -> Path | None:
        """The directory of the last checkpoint, under Ray's name for it."""
        numbers = [int(path.name.removeprefix("kept-")) for path in self._place.glob("kept-*[0-9]")]
        return self._place / f"kept-{max(numbers)}" if numbers else None

    def on_save(self, args, state, control, **_):  # type: ignore[no-untyped-def]
        before, staging = self.last(), self._place / "keeping"
        shutil.rmtree(staging, ignore_errors=True)
        shutil.copytree(
            get_last_checkpoint(args.output_dir), staging / RayTrainReportCallback.CHECKPOINT_NAME
        )
        os.replace(staging, self._place / f"kept-{state.global_step}")
        if before and before.name != f"kept-{state.global_step}":
            shutil.rmtree(before)


def _memory_mib() -> int:
    """The peak on this worker's GPU; without a GPU, what its process holds now."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 2**20)
    return round(psutil.Process().memory_info().rss / 2**20)
