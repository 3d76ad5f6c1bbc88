"""Training: a training set and a champion become a challenger, through Ray Train, TRL and DeepSpeed.

The driver asks for workers, watches them, tries once more where a smaller micro-batch can help, and checks
what they leave; `engine/train/worker.py` is what runs in them. A training that fails is a value with a
named reason: it ends the round, not the campaign.
"""

import errno
import json
import logging
import math
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from configs.load import DEEPSPEED_DIR
from configs.training import OwnMethod, Train, Training
from engine.disk.jsonl import objects
from engine.errors import Mistake
from engine.models.check import check_model
from engine.models.identity import model_id
from engine.models.nodes import refer_to
from engine.plan.plan import Group
from engine.records import Challenger, TrainFailure, TrainFault, TrainingSet, to_json
from engine.terminal import progress
from engine.train.crew import Crew, stay
from engine.train.job import DiskFull, Job, Outcome, Refused, Trained, read_outcome
from engine.train.methods import load_method
from engine.train.workers import given_up, start

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of a training that pauses, to continue later as if it had not."""

    until: float = 1.0
    """Share of all optimizer steps after which it pauses, with the model as it is then."""
    state: Path | None = None
    """The ``out/state`` of the stretch before; None for the first."""


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
    crew: Crew | None = None,
) -> Challenger | TrainFailure:
    """Train `parent` on `data` and leave the merged model in ``out/model``.

    `out` must be seen by driver and workers alike (one machine, or shared storage); `parent` need not be, as
    a node without it fetches it. The metrics of every optimizer step are handed to `on_metrics` when training
    ends. With a `crew` the worker stays for the next training, where it may.

    Raises PluginError where a user's own method cannot be loaded, Mistake where a worker found one, as in the
    method, and OSError (ENOSPC) where the disk of driver or workers is full; `out` is then gone.
    """
    load_method(config)
    num_learn = len(data.rows) - data.num_held
    if not num_learn:
        reason = "nothing to learn: no answer passed its verifier"
        return TrainFailure(fault=TrainFault.NOTHING_TO_LEARN, reason=reason)
    attempt = secrets.token_hex(4)
    _set_aside(out, attempt)
    out.mkdir(parents=True)
    job = Job(
        config=cast(Training, _with_shared_file(config, out)),
        deepspeed=json.loads((DEEPSPEED_DIR / config.deepspeed).read_text()) if config.deepspeed else None,
        parent=refer_to(parent),
        out=out,
        scratch=out / f"first-{attempt}",
        threads=workers.threads,
        seed=seed,
        until=stretch.until,
        state=stretch.state,
    )
    job.rows.write_bytes("".join(to_json(row) + "\n" for row in data.rows).encode())
    # Rows to hold are gone over once, those to learn at every epoch.
    num_steps = math.ceil((config.epochs * num_learn + data.num_held) / config.batch_size)
    outcome, metrics = _fit(job, workers, num_steps, crew)
    micro = config.micro_batch_size
    if isinstance(outcome, TrainFailure) and outcome.fault is TrainFault.OUT_OF_MEMORY and micro > 1:
        rows_a_worker = config.batch_size // config.num_workers
        # At most half, and such that accumulation still makes up the whole batch.
        micro = next(size for size in range(micro // 2, 0, -1) if rows_a_worker % size == 0)
        log.warning("training ran out of memory; once more with micro-batches of %d", micro)
        smaller = job.config.model_copy(update={"micro_batch_size": micro})
        outcome, metrics = _fit(
            replace(job, config=smaller, scratch=out / f"second-{attempt}"), workers, num_steps, crew
        )
    if isinstance(outcome, DiskFull | Refused):
        shutil.rmtree(out, ignore_errors=True)
        if isinstance(outcome, DiskFull):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(outcome.place))
        raise Mistake(outcome.sentence.replace(job.config.method, str(config.method)))
    on_metrics(metrics)
    if isinstance(outcome, TrainFailure):
        return outcome
    return _challenger(config, data, outcome, parent=parent, model=out / "model")


def _set_aside(out: Path, attempt: str) -> None:
    """Take away what an interrupted training left in `out`.

    A worker outlives a killed driver by seconds, and may still write. It does so where nobody reads: what it
    writes to is renamed before it is deleted, and no two attempts share the name of a directory.
    """
    aside = out.with_name(f"{out.name}.{attempt}")
    with suppress(FileNotFoundError):
        os.rename(out, aside)
    shutil.rmtree(aside, ignore_errors=True)


def prepare(crew: Crew, config: Train, workers: Group) -> None:
    """Start the crew's worker ahead of the first such training, beside what needs none."""
    if crew.takes(config, workers):
        crew.prepare(config, workers, partial(start, stay, config, workers))


def _with_shared_file(config: Train, out: Path) -> Train:
    """The config with a user's own method copied to `out`, where every node can read it."""
    if not isinstance(config, OwnMethod):
        return config
    copied = (out / Path(config.method).name).absolute()
    shutil.copyfile(config.method, copied)
    return config.model_copy(update={"method": str(copied)})


def _challenger(
    config: Train, data: TrainingSet, trained: Trained, *, parent: Path, model: Path
) -> Challenger:
    """The record of a trained model, once its files are known to be whole. Raises ModelError."""
    if trained.num_too_long:
        log.warning(
            "%d of %d rows are longer than max_length=%d tokens and were left out",
            trained.num_too_long,
            len(data.rows),
            config.max_length,
        )
    check_model(model)
    return Challenger(
        model_id=model_id(model),
        path=str(model),
        parent_id=model_id(parent),
        training_set_id=data.id,
        method=config.method,
        num_steps=trained.num_steps,
        num_tokens=trained.num_tokens,
        tokens_per_second=trained.tokens_per_second,
        final_loss=trained.final_loss,
        update_size=trained.update_size,
        reference=trained.reference,
        stopped_early=trained.stopped_early,
        seconds=round(trained.seconds, 1),
        not_learnt=trained.not_learnt,
    )


def _fit(job: Job, workers: Group, num_steps: int, crew: Crew | None) -> tuple[Outcome, list[dict[str, Any]]]:
    """One attempt: its outcome, and the metrics of its optimizer steps."""
    import ray.train

    from engine.train.worker import train_loop

    job.scratch.mkdir()
    metrics = job.scratch / "metrics.jsonl"
    try:
        with _shown_steps(metrics, num_steps):
            if crew and crew.takes(job.config, workers):
                outcome = read_outcome(crew.outcome(job, workers, partial(start, stay, job.config, workers)))
            else:
                if crew:
                    crew.end()  # its worker has the cores that this training needs
                result = start(train_loop, job.config, workers, {"job": to_json(job)}, job.scratch).result()
                outcome = read_outcome(result.return_value)
                if result.checkpoint and job.until < 1:
                    shutil.rmtree(job.out / "state", ignore_errors=True)
                    os.replace(result.checkpoint.path, job.out / "state")
    except ray.train.TrainingFailedError as error:
        outcome = given_up(error, job.scratch, job.config.max_failures)
    by_step: dict[int, dict[str, Any]] = {}
    for entry in objects(metrics, growing=True):
        # A step that was repeated after a lost worker counts once; its validation has a line of its own.
        by_step[entry["step"]] = by_step.get(entry["step"], {}) | entry
    shutil.rmtree(job.scratch, ignore_errors=True)
    return outcome, list(by_step.values())


@contextmanager
def _shown_steps(metrics: Path, num_steps: int) -> Iterator[None]:
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
