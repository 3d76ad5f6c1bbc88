"""Training: a training set and a champion become a challenger, through Ray Train, TRL and DeepSpeed.

What runs in the workers is in `train_worker.py`. Here the workers are asked for, watched, retried
where a smaller micro-batch can help, and what they leave is checked. A failure of training is a
value with a named reason: it ends the round, not the campaign.
"""

import json
import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from configs.schema import Train
from engine.models import check_model, model_id
from engine.plan import Group
from engine.records import Challenger, TrainFailure, TrainFault, TrainingSet, to_json

log = logging.getLogger(__name__)

DEEPSPEED_CONFIGS = Path(__file__).parent.parent / "configs" / "deepspeed"


def train(
    config: Train,
    data: TrainingSet,
    *,
    parent: Path,
    out: Path,
    workers: Group,
    seed: int,
    on_metrics: Callable[[list[dict[str, Any]]], None] = lambda _: None,
) -> Challenger | TrainFailure:
    """Train `parent` on `data` and leave the merged model in `out`.

    `out` must be seen by driver and workers alike (one machine, or shared storage). Metrics of every
    optimizer step are handed to `on_metrics` when training ends.
    """
    if not data.rows:
        return TrainFailure(
            fault=TrainFault.NOTHING_TO_LEARN, reason="no proof was verified, so there is no row"
        )
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / "rows.jsonl").write_bytes("".join(to_json(row) + "\n" for row in data.rows).encode())
    micro = config.micro_batch_size
    outcome = _fit(config, micro, parent, out / "first", out, workers, seed)
    if outcome.get("fault") == TrainFault.OUT_OF_MEMORY and micro > 1:
        log.warning("training ran out of memory; once more with micro-batches of %d", micro // 2)
        outcome = _fit(config, micro // 2, parent, out / "second", out, workers, seed)
    on_metrics(outcome.pop("metrics"))
    if "fault" in outcome:
        return TrainFailure(fault=TrainFault(outcome["fault"]), reason=outcome["reason"])
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
        tokens_per_second=round(outcome["num_tokens"] / outcome["seconds"], 1),
        final_loss=outcome["final_loss"],
        update_size=outcome["update_size"],
        seconds=round(outcome["seconds"], 1),
    )


def _fit(
    config: Train, micro: int, parent: Path, scratch: Path, out: Path, workers: Group, seed: int
) -> dict[str, Any]:
    """One attempt. The workers leave ``outcome.json`` in `scratch`; where there is none, they were lost."""
    import ray.train
    from ray.train.torch import TorchTrainer

    from engine.train_worker import train_loop

    settings = {
        "train": config.model_dump(mode="json") | {"micro_batch_size": micro},
        "accumulation": config.batch_size // (micro * config.num_workers),
        "deepspeed": json.loads((DEEPSPEED_CONFIGS / config.deepspeed).read_text())
        if config.deepspeed
        else None,
        "parent": str(parent),
        "rows": str(out / "rows.jsonl"),
        "model": str(out / "model"),
        "scratch": str(scratch),
        "threads": workers.threads,
        "seed": seed,
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
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        reason = (
            f"workers were lost more than {config.max_failures} times: {str(error).strip().splitlines()[0]}"
        )
        outcome: dict[str, Any] = {"fault": TrainFault.WORKER_LOST, "reason": reason}
    else:
        outcome = json.loads((scratch / "outcome.json").read_text())
    metrics = scratch / "metrics.jsonl"
    by_step = {}
    for line in metrics.read_text().splitlines() if metrics.exists() else ():
        entry = json.loads(line)
        by_step[entry["step"]] = entry  # a step that was repeated after a lost worker counts once
    shutil.rmtree(scratch, ignore_errors=True)
    return outcome | {"metrics": list(by_step.values())}


def is_explosion(loss: float, first: list[float], factor: float) -> bool:
    """Whether a loss is out of all proportion to the first ones. Losses under 1 nat are not yet one, whatever
    the ratio: a champion that starts near zero may well rise to there."""
    return not math.isfinite(loss) or loss > factor * max(1.0, sum(first) / len(first))
