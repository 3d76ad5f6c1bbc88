"""What runs in a Ray Train worker: TRL's SFTTrainer or DPOTrainer on fixed rows, then a merged model.

Everything heavy is imported inside the functions: the driver names `train_loop` without paying for it.
"""

import copy
import json
import os
import shutil
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Train
from engine.footprint import EAGER_LENGTH
from engine.merge import save_merged
from engine.prompts import completion_ids, messages, prompt_ids
from engine.records import TrainFault, TrainingRow, from_json
from engine.store import replace_file
from engine.train_loss import sft_trainer
from engine.train_order import fitting, training_order
from engine.train_watch import Stopped, fault_of, watch

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer


def train_loop(settings: dict[str, Any]) -> dict[str, Any]:
    """Leave ``metrics.jsonl`` in ``settings["scratch"]``, and the model where asked for; return the outcome.

    Ray Train starts workers again whatever they raise. Where that cannot help (`Stopped`, `fault_of`) the
    outcome says so instead. What befalls one of several workers is left in ``fault.json`` and raised, as the
    others wait for this one in a collective operation; the group that is then started returns at once.
    """
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    import ray.train
    import torch
    from safetensors import SafetensorError

    fault = Path(settings["scratch"]) / "fault.json"
    if fault.exists():
        return json.loads(fault.read_bytes())
    torch.set_num_threads(settings["threads"])
    alone = ray.train.get_context().get_world_size() == 1
    if alone:
        _leave_process_group()
    # Datasets are cached by content; a cache of this worker's own keeps runs apart.
    cache = tempfile.mkdtemp(prefix="ratchet-train-")
    os.environ["HF_DATASETS_CACHE"] = cache
    try:
        return _train(settings, Train.model_validate(settings["train"]), Path(cache))
    except Stopped as stopped:
        return {"fault": stopped.fault, "reason": stopped.reason}
    except (OSError, MemoryError, RuntimeError, SafetensorError) as error:
        outcome = fault_of(error, (Path(cache), fault.parent))
        if outcome is None:
            raise
        if not alone:
            replace_file(fault, json.dumps(outcome).encode())
            raise
        return outcome
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def _train(settings: dict[str, Any], config: Train, cache: Path) -> dict[str, Any]:
    import ray.train
    import torch
    from ray.train.huggingface.transformers import RayTrainReportCallback
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    on_gpu, context = torch.cuda.is_available(), ray.train.get_context()
    if settings["deepspeed"] and not on_gpu:
        _avoid_deepspeed_compile()
    tokenizer = AutoTokenizer.from_pretrained(settings["parent"])
    rows = [from_json(TrainingRow, line) for line in Path(settings["rows"]).read_bytes().split(b"\n") if line]
    num_all, num_rehearsal = len(rows), settings["num_rehearsal"]
    rows = fitting(rows[: num_all - num_rehearsal], tokenizer, config) + rows[num_all - num_rehearsal :]
    # What is trained is kept in fp32, with arithmetic in bf16: bf16 weights round small updates away.
    # Under LoRA the frozen weights need no more than bf16, which saves a cast of each at every step.
    frozen_bf16 = config.tuning == "lora" and config.dtype == "bfloat16"
    model = AutoModelForCausalLM.from_pretrained(
        settings["parent"],
        dtype=torch.bfloat16 if frozen_bf16 else torch.float32,
        attn_implementation="eager" if not on_gpu and config.max_length <= EAGER_LENGTH else None,
        use_safetensors=True,
    )
    trainer, num_tokens = _build_trainer(settings, config, model, tokenizer, rows, cache, on_gpu)
    assert trainer.accelerator.num_processes == context.get_world_size()
    trainer.add_callback(RayTrainReportCallback())
    checkpoint = ray.train.get_checkpoint()
    started = time.monotonic()
    with checkpoint.as_directory() if checkpoint else nullcontext() as directory:
        saved = f"{directory}/{RayTrainReportCallback.CHECKPOINT_NAME}" if directory else None
        trainer.train(resume_from_checkpoint=saved)
    seconds = time.monotonic() - started
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if context.get_world_rank() != 0:
        return {}
    # With ZeRO-3 in force, loading a model would shard it over workers that have already left.
    unset_hf_deepspeed_config()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    saved_as = save_merged(config, state, parent=Path(settings["parent"]), target=Path(settings["model"]))
    return {
        "num_steps": trainer.state.global_step,
        "num_tokens": num_tokens,
        "num_too_long": num_all - len(rows),
        "seconds": seconds,
        "final_loss": round(sum(losses[-5:]) / len(losses[-5:]), 5),
        **saved_as,
    }


def _leave_process_group() -> None:
    """A group of one would wrap the model for data parallelism: copies of all gradients at every step."""
    import torch.distributed

    torch.distributed.destroy_process_group()
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(name, None)


def _avoid_deepspeed_compile() -> None:
    """DeepSpeed would compile a communication kernel (46 s, and a hang for ever after a kill during it)."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def _build_trainer(
    settings: dict[str, Any],
    config: Train,
    model: "PreTrainedModel",
    tokenizer: Any,
    rows: list[TrainingRow],
    cache: Path,
    on_gpu: bool,
) -> tuple["Trainer", int]:
    """The TRL trainer of the method, and the non-padding tokens of all epochs."""
    import ray.train

    lora = None
    if config.tuning == "lora":
        from peft import LoraConfig

        lora = LoraConfig(
            r=config.lora_rank,
            lora_alpha=config.lora_alpha,
            lora_dropout=config.lora_dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
    common: dict[str, Any] = {
        "output_dir": str(cache / "checkpoints"),
        "per_device_train_batch_size": config.micro_batch_size,
        "gradient_accumulation_steps": settings["accumulation"],
        "num_train_epochs": config.epochs,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.schedule,
        "warmup_steps": config.warmup_share,
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "max_length": config.max_length,
        "optim": "adamw_torch" if settings["deepspeed"] else "adamw_torch_fused",
        "bf16": config.dtype == "bfloat16",
        "use_cpu": not on_gpu,
        "gradient_checkpointing": config.gradient_checkpointing,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": config.save_steps,
        "save_total_limit": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "seed": settings["seed"],
        "data_seed": settings["seed"],
        "deepspeed": settings["deepspeed"],
        # They are constants. Broadcast at every call, workers that make fewer calls would wait for ever.
        "ddp_broadcast_buffers": False,
    }
    watcher = watch(
        Path(settings["scratch"]) / "metrics.jsonl",
        rank=ray.train.get_context().get_world_rank(),
        explosion=config.explosion,
    )
    if config.method == "dpo":
        shared = Path(settings["scratch"]) / "pairs"
        return _dpo(common, config, model, tokenizer, rows, lora, watcher, shared=shared)
    num_rehearsal = settings["num_rehearsal"]
    return _sft(common, config, model, tokenizer, rows, lora, watcher, num_rehearsal=num_rehearsal)


def _sft(
    common: dict[str, Any],
    config: Train,
    model: "PreTrainedModel",
    tokenizer: Any,
    rows: list[TrainingRow],
    lora: Any,
    watcher: Any,
    *,
    num_rehearsal: int,
) -> tuple["Trainer", int]:
    from datasets import Dataset
    from trl import SFTConfig

    examples: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        question = prompt_ids(tokenizer, messages(row.system, row.prompt)) if row.prompt else []
        answer = completion_ids(tokenizer, row.chosen, ends=row.ends)
        ids = (question + answer)[: config.max_length]
        # A rehearsal row is labelled from its first token: see `sft_trainer`.
        ignored = 0 if number >= len(rows) - num_rehearsal else max(1, len(question))
        examples.append({"input_ids": ids, "labels": [-100] * ignored + ids[ignored:]})
    order = training_order(
        [len(example["input_ids"]) for example in examples],
        stories=[row.story or f"row {i}" for i, row in enumerate(rows[: len(rows) - num_rehearsal])],
        num_rehearsal=num_rehearsal,
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=common["data_seed"],
    )
    if not order:
        reason = f"epochs={config.epochs:g} of {len(rows)} rows is not one row"
        raise Stopped(TrainFault.NOTHING_TO_LEARN, reason)
    examples = [examples[row] for row in order]
    parent = copy.deepcopy(model).eval() if num_rehearsal and lora is None else None
    trainer = sft_trainer()(
        model,
        args=SFTConfig(
            **common | {"num_train_epochs": 1},
            train_sampling_strategy="sequential",
            include_num_input_tokens_seen="non_padding",
        ),
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[watcher],
    )
    if parent is not None:
        # In the precision of what is trained: a rounded parent would be another model to be drawn to.
        trainer.parent = parent.to(trainer.args.device)
    return trainer, sum(len(example["input_ids"]) for example in examples)


def _dpo(
    common: dict[str, Any],
    config: Train,
    model: "PreTrainedModel",
    tokenizer: Any,
    rows: list[TrainingRow],
    lora: Any,
    watcher: Any,
    *,
    shared: Path,
) -> tuple["Trainer", int]:
    import torch
    from datasets import Dataset, load_from_disk
    from trl import DPOConfig, DPOTrainer

    pairs = [
        {
            "prompt": tokenizer.apply_chat_template(
                messages(row.system, row.prompt), add_generation_prompt=True, tokenize=False
            ),
            "chosen": row.chosen,
            "rejected": row.rejected,
        }
        for row in rows
    ]
    # The reference's log-probabilities are cached beside the pairs' own file: one file for all workers.
    group = torch.distributed.is_initialized()
    if not shared.exists() and not (group and torch.distributed.get_rank()):
        Dataset.from_list(pairs).save_to_disk(f"{shared}.part")
        os.replace(f"{shared}.part", shared)
    if group:
        torch.distributed.barrier()
    trainer = DPOTrainer(
        model,
        args=DPOConfig(
            **common,
            beta=config.beta,
            loss_type=["sigmoid", "sft"],
            loss_weights=[1.0, config.sft_weight],
            precompute_ref_log_probs=True,
        ),
        train_dataset=load_from_disk(str(shared)),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[watcher],
    )
    data = trainer.train_dataset
    a_pass = sum(2 * len(d["prompt_ids"]) + len(d["chosen_ids"]) + len(d["rejected_ids"]) for d in data)
    return trainer, int(a_pass * config.epochs)
