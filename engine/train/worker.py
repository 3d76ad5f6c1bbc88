"""What runs in a Ray Train worker: a method's trainer on fixed rows, then a merged model.

Everything heavy is imported inside the functions: the driver names `train_loop` without paying for it.
"""

import logging
import math
import os
import shutil
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from configs.training import Train
from engine.disk.files import replace_file
from engine.models.load import load_model
from engine.models.merge import save_merged
from engine.models.nodes import local_copy
from engine.models.prompts import tokenizer_of
from engine.models.quantised import load_quantised
from engine.models.reference import BESIDE, NUM_ROWS
from engine.plan.footprint import EAGER_LENGTH
from engine.records import Role, TrainFailure, TrainFault, TrainingRow, from_json, to_json
from engine.train.faults import Ended, Stopped, fault_of
from engine.train.job import Job, Trained
from engine.train.methods import load_method
from engine.train.order import Material, fitting, not_learnt, split_validation

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)


def keep_apart(cache: Path) -> None:
    """Keep the libraries of Hugging Face from the network and from the caches of others.

    They read these variables once, when they are imported.
    """
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(cache),
        "TOKENIZERS_PARALLELISM": "false",
    }


def train_loop(settings: dict[str, str]) -> str:
    """Run the job in ``settings["job"]``; return its outcome, which on other ranks than 0 is empty.

    Ray Train starts workers again after what can go away, which is raised. Anything else (`Stopped`,
    `fault_of`) is an outcome, and of one of several workers it is raised as `Ended`, as the others wait for
    this one in a collective operation.
    """
    # Datasets are cached by content; a cache of this worker's own keeps runs apart.
    cache = tempfile.mkdtemp(prefix="ratchet-train-")
    keep_apart(Path(cache))
    import ray.train
    import torch

    job = from_json(Job, settings["job"])
    torch.set_num_threads(job.threads)
    alone = ray.train.get_context().get_world_size() == 1
    # DeepSpeed, which does not wrap for data parallelism, needs the group: without it, it looks for MPI.
    if alone and not job.deepspeed:
        _leave_process_group()
    try:
        trained = _train(replace(job, cache=Path(cache)))
        return to_json(trained) if trained else ""
    except Stopped as stopped:
        return to_json(TrainFailure(fault=stopped.fault, reason=stopped.reason))
    except Exception as error:
        fault = fault_of(error, (Path(cache), job.scratch))
        if fault is None:
            raise
        log.exception("the training ended")
        if not alone:
            raise Ended(to_json(fault)) from error
        return to_json(fault)
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def _train(job: Job) -> Trained | None:
    """Train, and save the model in the worker of rank 0; the others return None."""
    import ray.train
    import torch
    from ray.train.huggingface.transformers import RayTrainReportCallback
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    from engine.train.layers import speed_up
    from engine.train.watch import Kept, Pause, Watch

    if job.deepspeed and not torch.cuda.is_available():
        _avoid_deepspeed_compile()
    config, context = job.config, ray.train.get_context()
    parent, method = local_copy(job.parent), load_method(config)
    tokenizer = tokenizer_of(parent)

    def length(row: TrainingRow) -> int:
        return max((len(text.ids) for text in method.tokens(row, tokenizer, config)), default=0)

    rows = [from_json(TrainingRow, line) for line in job.rows.read_bytes().split(b"\n") if line]
    learn = [row for row in rows if row.role is Role.LEARN]
    fit = fitting(learn, length, config.max_length)
    hold = [row for row in rows if row.role is Role.HOLD]
    train, validation = split_validation(fit, config.validation_share, job.seed)
    material = Material(learn=train, hold=hold, validation=validation)
    trainer, num_tokens = method.trainer(job, _model(config, parent), tokenizer, material)
    if config.quantize:
        # TRL rounds adapters beside such a base to bf16, in which small updates are lost.
        for weight in trainer.model.parameters():
            weight.data = weight.data.float() if weight.requires_grad else weight.data
    if not torch.cuda.is_available() and not job.deepspeed:
        speed_up(trainer.model)
    assert trainer.accelerator.num_processes == context.get_world_size()
    paused, rank = Pause(job.until), context.get_world_rank()
    metrics = job.scratch / "metrics.jsonl"
    watch = Watch(metrics, rank=rank, explosion=config.explosion, patience=config.patience)
    for callback in (watch, paused):
        trainer.add_callback(callback)
    kept = Kept(job.scratch)
    alone = context.get_world_size() == 1
    trainer.add_callback(kept if alone else RayTrainReportCallback())
    checkpoint = None if alone else ray.train.get_checkpoint()
    started = time.monotonic()
    # A worker that takes the place of a lost one is further than the stretch before.
    here = kept.last() or job.state
    with checkpoint.as_directory() if checkpoint else nullcontext(here) as directory:
        saved = f"{directory}/{RayTrainReportCallback.CHECKPOINT_NAME}" if directory else None
        trainer.train(resume_from_checkpoint=saved)
    seconds = time.monotonic() - started
    if alone and job.until < 1 and (last := kept.last()):
        shutil.rmtree(job.out / "state", ignore_errors=True)
        os.replace(last, job.out / "state")
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if rank != 0:
        return None
    # With ZeRO-3 in force, loading a model would shard it over workers that have already left.
    unset_hf_deepspeed_config()
    state = trainer.state
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    some = fit[:: len(fit) // NUM_ROWS or 1]
    shown = [text.ids for row in some for text in method.tokens(row, tokenizer, config)[:1]]
    merged = save_merged(
        config, weights, parent=parent, parent_id=job.parent.id, target=job.out / "model", rows=shown
    )
    if not all(map(math.isfinite, (merged.update_size, *merged.scores))):
        raise Stopped(TrainFault.LOSS_EXPLODED, "the trained model has weights or scores that are not finite")
    replace_file(job.out / BESIDE, to_json(merged.reference).encode())
    now = num_tokens * (state.global_step - paused.begun) / state.max_steps
    return Trained(
        num_steps=state.global_step,
        num_tokens=round(num_tokens * state.global_step / state.max_steps),
        num_too_long=len(learn) - len(fit),
        stopped_early=state.global_step < math.ceil(job.until * state.max_steps),
        seconds=seconds,
        tokens_per_second=round(now / seconds, 1),
        final_loss=round(sum(losses[-5:]) / len(losses[-5:]), 5),
        update_size=merged.update_size,
        reference=merged.scores,
        not_learnt=not_learnt(learn, train),
    )


def _model(config: Train, parent: Path) -> "PreTrainedModel":
    """The parent, loaded for training.

    Weights that are trained are kept in fp32, with arithmetic in bf16: bf16 weights round small updates away.
    Under LoRA the frozen weights need no more than bf16, which saves a cast of each at every step, or than
    `quantize` leaves of them.
    """
    import torch
    from transformers import GenerationConfig

    assert config.dtype != "auto", "whoever plans decides it"
    frozen_bf16 = config.tuning == "lora" and config.dtype == "bfloat16"
    dtype, attention = torch.bfloat16 if frozen_bf16 else torch.float32, _attention(config)
    if config.quantize:
        model = load_quantised(parent, config.quantize, dtype, attention)
    else:
        model = load_model(parent, dtype, attention=attention)
    # Nothing is generated here, and checkpoints could not be saved with one that transformers refuses.
    model.generation_config = GenerationConfig()
    return model


def _attention(config: Train) -> str | None:
    """The implementation of attention, by its name in transformers; None for its own choice."""
    import torch
    from transformers.utils import is_flash_attn_2_available

    if torch.cuda.is_available():
        # It computes packed rows one by one, where others go over a mask of all against all.
        flash = config.packing and config.dtype == "bfloat16" and is_flash_attn_2_available()
        return "flash_attention_2" if flash else None
    # Packed rows of any length are as one long row.
    return "eager" if config.max_length <= EAGER_LENGTH and not config.packing else None


def _leave_process_group() -> None:
    """Leave a group of one: it would wrap the model for data parallelism, which copies all gradients."""
    import torch.distributed

    if not torch.distributed.is_initialized():
        return  # a worker that stays has left it
    torch.distributed.destroy_process_group()
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(name, None)


def _avoid_deepspeed_compile() -> None:
    """Keep DeepSpeed from compiling a communication kernel: 46 s, and a hang for ever if killed meanwhile."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
