"""Training: a training set and a champion become a challenger, through Ray Train, TRL and DeepSpeed.

What runs in the workers is in `train_worker.py`. Here the workers are asked for, watched, retried
where a smaller micro-batch can help, and what they leave is checked. A failure of training is a
value with a named reason: it ends the round, not the campaign.
"""

import errno
import json
import logging
import math
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from configs.load import DEEPSPEED_DIR
from configs.schema import Train
from engine.models.identity import check_model, model_id
from engine.models.nodes import tell
from engine.plan.plan import Group
from engine.records import Challenger, TrainFailure, TrainFault, TrainingSet, to_json
from engine.terminal import progress
from engine.train.watch import fault_of

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of a training that pauses, to go on later as if it had not."""

    until: float = 1.0
    """Share of all optimizer steps after which it pauses; the model is what it has come to by then."""
    state: Path | None = None
    """What the stretch before left in ``out/state``; None for the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What is asked of the workers, whatever the size of their micro-batches."""

    config: Train
    parent: Path
    out: Path
    workers: Group
    seed: int
    num_rehearsal: int
    stretch: Stretch


def train(
    config: Train,
    data: TrainingSet,
    *,
    parent: Path,
    out: Path,
    workers: Group,
    seed: int,
    on_metrics: Callable[[list[dict[str, Any]]], None] = lambda _: None,
    stretch: Stretch = Stretch(),
) -> Challenger | TrainFailure:
    """Train `parent` on `data` and leave the merged model in ``out/model``.

    `out` must be seen by driver and workers alike (one machine, or shared storage); `parent` need not be, as
    a node without it fetches it. Metrics of every
    optimizer step are handed to `on_metrics` when training ends. Raises OSError (ENOSPC) where the disk of
    driver or workers is full; `out` is then gone.
    """
    if not data.rows:
        return TrainFailure(
            fault=TrainFault.NOTHING_TO_LEARN, reason="no proof was verified, so there is no row"
        )
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / "rows.jsonl").write_bytes("".join(to_json(row) + "\n" for row in data.rows).encode())
    job = _Job(
        config=config,
        parent=parent,
        out=out,
        workers=workers,
        seed=seed,
        num_rehearsal=data.num_rehearsal,
        stretch=stretch,
    )
    micro = config.micro_batch_size
    outcome = _fit(job, micro, out / "first")
    if outcome.get("fault") == TrainFault.OUT_OF_MEMORY and micro > 1:
        rows_a_worker = config.batch_size // config.num_workers
        # At most half, and such that accumulation still makes up the whole batch.
        micro = next(size for size in range(micro // 2, 0, -1) if rows_a_worker % size == 0)
        log.warning("training ran out of memory; once more with micro-batches of %d", micro)
        outcome = _fit(job, micro, out / "second")
    on_metrics(outcome.pop("metrics"))
    if "fault" in outcome:
        return TrainFailure(fault=TrainFault(outcome["fault"]), reason=outcome["reason"])
    if outcome["num_too_long"]:
        log.warning(
            "%d of %d rows are longer than max_length=%d tokens and were left out",
            outcome["num_too_long"],
            len(data.rows),
            config.max_length,
        )
    model = out / "model"
    check_model(model)
    return Challenger(
        model_id=model_id(model),
        path=str(model),
        parent_id=model_id(parent),
        training_set_id=data.id,
        method=data.method,
        num_steps=outcome["num_steps"],
        num_tokens=outcome["num_tokens"],
        tokens_per_second=outcome["tokens_per_second"],
        final_loss=outcome["final_loss"],
        update_size=outcome["update_size"],
        reference=tuple(outcome["reference"]),
        stopped_early=outcome["stopped_early"],
        seconds=round(outcome["seconds"], 1),
    )


def _fit(job: _Job, micro: int, scratch: Path) -> dict[str, Any]:
    """One attempt: what the worker of rank 0 returned, or why there is nothing, with its steps' metrics."""
    import ray.train
    from ray.train.torch import TorchTrainer

    from engine.train.worker import train_loop

    config, workers = job.config, job.workers
    settings = {
        "train": config.model_dump(mode="json") | {"micro_batch_size": micro},
        "accumulation": config.batch_size // (micro * config.num_workers),
        "deepspeed": json.loads((DEEPSPEED_DIR / config.deepspeed).read_text()) if config.deepspeed else None,
        "parent": tell(job.parent),
        "rows": str(job.out / "rows.jsonl"),
        "model": str(job.out / "model"),
        "scratch": str(scratch),
        "threads": workers.threads,
        "seed": job.seed,
        "num_rehearsal": job.num_rehearsal,
        "until": job.stretch.until,
        "state": str(job.stretch.state) if job.stretch.state else None,
    }
    scratch.mkdir()
    trainer = TorchTrainer(
        train_loop,
        train_loop_config=settings,
        scaling_config=ray.train.ScalingConfig(
            num_workers=config.num_workers,
            use_gpu=workers.gpus > 0,
            resources_per_worker={"GPU": workers.gpus, "CPU": 1}
            if workers.gpus
            else {"CPU": workers.threads},
        ),
        run_config=ray.train.RunConfig(
            name="fit",
            storage_path=str(scratch),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1),
            # Worker groups that cannot start are retried for ever by default.
            failure_config=ray.train.FailureConfig(
                max_failures=config.max_failures, controller_failure_limit=3
            ),
        ),
    )
    # Rehearsal rows are learnt once, the others at every epoch.
    num_rows = (job.out / "rows.jsonl").read_bytes().count(b"\n") - job.num_rehearsal
    num_steps = math.ceil((config.epochs * num_rows + job.num_rehearsal) / config.batch_size)
    metrics = scratch / "metrics.jsonl"
    try:
        with _steps_shown(metrics, num_steps):
            result = in_thread(trainer.fit)
        outcome = result.return_value
        if result.checkpoint and job.stretch.until < 1:
            shutil.rmtree(job.out / "state", ignore_errors=True)
            os.replace(result.checkpoint.path, job.out / "state")
    except ray.train.TrainingFailedError as error:
        outcome = _given_up(error, scratch, config.max_failures)
    if "disk_full" in outcome:
        shutil.rmtree(job.out, ignore_errors=True)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), outcome["disk_full"])
    by_step: dict[int, dict[str, Any]] = {}
    for line in metrics.read_text().splitlines() if metrics.exists() else ():
        entry = json.loads(line)
        # A step that was repeated after a lost worker counts once; its validation has a line of its own.
        by_step[entry["step"]] = by_step.get(entry["step"], {}) | entry
    shutil.rmtree(scratch, ignore_errors=True)
    return outcome | {"metrics": list(by_step.values())}


def in_thread(call: Callable[[], T]) -> T:
    """What the call returns or raises, made in a thread of its own.

    In the main one Ray Train and Ray Tune would put their own handlers in the place of that of Ctrl-C, which
    wait for workers and end the process with code 0. As it is, an interruption is raised here at once.
    """
    done: Future[T] = Future()

    def work() -> None:
        try:
            done.set_result(call())
        except BaseException as error:  # noqa: BLE001  raised again in the thread that asked
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return done.result()


def _given_up(error: Exception, scratch: Path, max_failures: int) -> dict[str, Any]:
    """What an attempt came to that Ray Train gave up."""
    import ray

    left = scratch / "fault.json"
    if left.exists():
        return json.loads(left.read_bytes())
    # Also Ray's own writing of checkpoints reaches us here.
    if fault := fault_of(error, (scratch,)):
        return fault
    causes = [
        getattr(failure, "health_check_failure", failure)
        for failure in getattr(error, "worker_failures", {}).values()
    ]
    if any(isinstance(cause, ray.exceptions.OutOfMemoryError) for cause in causes):
        reason = "a worker was killed because its machine's memory was used up"
        return {"fault": TrainFault.OUT_OF_MEMORY, "reason": reason}
    cause = causes[0] if causes else error
    said = str(cause).strip().splitlines()
    # Ray says first what happened; of an exception the traceback comes first.
    what = said[0 if isinstance(cause, ray.exceptions.RayError) else -1]
    reason = f"workers were lost more than {max_failures} times: {what}"
    return {"fault": TrainFault.WORKER_LOST, "reason": reason}


@contextmanager
def _steps_shown(metrics: Path, num_steps: int) -> Iterator[None]:
    """A bar of optimizer steps while the driver waits: a thread reads how far the worker has written."""
    over = threading.Event()
    with progress("training steps", num_steps) as advance:

        def follow() -> None:
            while not over.wait(1):
                whole = metrics.read_bytes().rpartition(b"\n")[0] if metrics.exists() else b""
                if whole:
                    advance(json.loads(whole.rpartition(b"\n")[2])["step"])

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
