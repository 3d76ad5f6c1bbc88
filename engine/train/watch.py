"""What is watched while a model trains: figures of every optimizer step, and signs that it must not go on."""

import json
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.records import TrainFault

if TYPE_CHECKING:
    import torch

_LARGE, _BLOCK, _EVERY = 1 << 16, 64, 1024
"""Of tensors with so many weights, blocks of 64 of every 1,024 are looked at (`_looked_at`)."""
_DISK_FULL = ("No space left on device", "unexpected pos", "PytorchStreamWriter failed")
"""How the operating system puts it, and torch.save, which does not pass its error on."""


class Stopped(Exception):
    """Training that must not go on, with its named reason."""

    def __init__(self, fault: TrainFault, reason: str) -> None:
        super().__init__(reason)
        self.fault, self.reason = fault, reason


def is_explosion(loss: float, first: list[float], factor: float) -> bool:
    """Whether a loss is out of all proportion to the first ones. First losses are
    taken to be at least 2 nats: proofs that are nearly known may come first, and plain text after them."""
    return not math.isfinite(loss) or loss > factor * max(2.0, sum(first) / len(first))


class UpdateSize:
    """Measures one step's update: the norm of the change of the trained weights over their norm before it.

    Frozen weights are neither looked at nor copied. Under ZeRO-3 it is that of this worker's share of the
    weights. Large tensors are sampled at a sixteenth, which is known well within a per cent and costs a
    sixteenth of the time and memory that copying all of the weights at every step would.
    """

    def __init__(self, parameters: Iterable["torch.nn.Parameter"]) -> None:
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._before: list[torch.Tensor] = []

    def begin(self) -> None:
        """Remember the weights as they are before the step."""
        now = [_looked_at(parameter) for parameter in self._parameters]
        if not self._before:
            self._before = [weights.clone() for weights in now]
        else:
            for before, weights in zip(self._before, now, strict=True):
                before.copy_(weights)

    def end(self) -> float:
        """The size of the update since `begin`, which must have been called."""
        import torch

        squares = []
        for parameter, before in zip(self._parameters, self._before, strict=True):
            change = _looked_at(parameter).float() - before.float()
            # A sampled tensor speaks for all of its weights.
            scale = _own(parameter).numel() / before.numel()
            squares.append(
                torch.stack([change.square().sum(), before.float().square().sum()]).double() * scale
            )
        change_squared, weights_squared = torch.stack([pair.cpu() for pair in squares]).sum(0).tolist()
        return math.sqrt(change_squared / weights_squared) if weights_squared else 0.0


def _own(parameter: "torch.nn.Parameter") -> "torch.Tensor":
    """What this worker holds of a parameter: under ZeRO-3 its share, else all of it."""
    return getattr(parameter, "ds_tensor", parameter).detach()


def _looked_at(parameter: "torch.nn.Parameter") -> "torch.Tensor":
    flat = _own(parameter).flatten()
    return flat.unfold(0, _BLOCK, _EVERY) if flat.numel() >= _LARGE else flat


def watch(metrics: Path, *, rank: int, explosion: float, patience: int) -> Any:
    """A transformers `TrainerCallback` for one worker.

    The worker of rank 0 appends every step's figures to `metrics`. In all of them Stopped is raised where the
    gradient is not finite, or where the loss is an explosion by the factor `explosion`; the last save is
    skipped, because the finished model is saved by us, merged; and training ends after `patience` looks at
    the validation loss since its least.
    """
    from transformers import TrainerCallback

    first: list[float] = []
    clock = [time.monotonic(), 0.0]
    update: list[UpdateSize] = []
    sizes: list[float] = []

    class Watch(TrainerCallback):
        def on_step_begin(self, args, state, control, model=None, **_):  # type: ignore[no-untyped-def]
            if rank == 0:
                if not update:
                    update.append(UpdateSize(model.parameters()))
                update[0].begin()

        def on_step_end(self, args, state, control, **_):  # type: ignore[no-untyped-def]
            sizes[:] = [each.end() for each in update]
            if state.global_step >= state.max_steps:
                control.should_save = False

        def on_log(self, args, state, control, logs=None, **_):  # type: ignore[no-untyped-def]
            if not logs or "loss" not in logs:
                return
            loss, norm = float(logs["loss"]), float(logs.get("grad_norm", 0.0))
            tokens, now = (
                float(logs.get("num_tokens") or logs.get("num_input_tokens_seen", 0.0)),
                time.monotonic(),
            )
            speed = (tokens - clock[1]) / (now - clock[0])
            clock[:] = now, tokens
            if rank == 0:
                entry = {
                    "time": round(time.time(), 3),
                    "step": state.global_step,
                    "loss": loss,
                    "learning_rate": logs.get("learning_rate"),
                    "grad_norm": norm,
                    "update_size": sizes[0],
                    "tokens": int(tokens),
                    "tokens_per_second": round(speed, 1),
                    "memory_mib": _memory_mib(),
                }
                with open(metrics, "a") as stream:
                    stream.write(json.dumps(entry) + "\n")
            _require_sound(state.global_step, loss, norm, first, explosion)

        def on_evaluate(self, args, state, control, **_):  # type: ignore[no-untyped-def]
            losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
            if rank == 0:
                entry = {"step": state.global_step, "validation_loss": losses[-1]}
                with open(metrics, "a") as stream:
                    stream.write(json.dumps(entry) + "\n")
            if len(losses) - losses.index(min(losses)) > patience:
                control.should_training_stop = True

    return Watch()


def pause(until: float) -> Any:
    """A `TrainerCallback` that ends training after a share of its steps, with a checkpoint to go on from.

    Its `begun` is the step that training went on from.
    """
    from transformers import TrainerCallback

    class Pause(TrainerCallback):
        begun = 0

        def on_train_begin(self, args, state, control, **_):  # type: ignore[no-untyped-def]
            self.begun = state.global_step

        def on_step_end(self, args, state, control, **_):  # type: ignore[no-untyped-def]
            if until < 1 and state.global_step >= math.ceil(until * state.max_steps):
                control.should_save = control.should_training_stop = True

    return Pause()


def _require_sound(step: int, loss: float, norm: float, first: list[float], explosion: float) -> None:
    """Raises Stopped. The losses of the first three steps are kept in `first`, to compare with."""
    if not math.isfinite(norm):
        raise Stopped(TrainFault.NAN_GRADIENT, f"the gradient norm is {norm} at step {step}")
    if len(first) < 3:
        first.append(loss)
    if is_explosion(loss, first, explosion):
        start = sum(first) / len(first)
        raise Stopped(TrainFault.LOSS_EXPLODED, f"the loss is {loss:.3g} at step {step}, from {start:.3g}")


def _memory_mib() -> int:
    """The peak on this worker's GPU, else what its process holds."""
    import psutil  # type: ignore[import-untyped]
    import torch

    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 2**20)
    return round(psutil.Process().memory_info().rss / 2**20)


def fault_of(error: Exception, places: Sequence[Path]) -> dict[str, str] | None:
    """What a worker's error comes to, if it is neither a bug nor a lost worker: memory or disk used up.

    ``{"fault": "out_of_memory", "reason": ...}``, or ``{"disk_full": DIRECTORY}``: the one of `places`, the
    directories that a worker writes to, that has least room left. None for any other error.
    """
    import torch

    from engine.plan.machine import free_disk

    text = str(error)
    memory = isinstance(error, torch.OutOfMemoryError | MemoryError)
    if memory or (isinstance(error, RuntimeError) and "allocate memory" in text):
        reason = text.splitlines()[0] if text else "a worker's memory is used up"
        return {"fault": TrainFault.OUT_OF_MEMORY, "reason": reason}
    if any(sign in text for sign in _DISK_FULL):
        return {"disk_full": str(min(places, key=free_disk))}
    return None
