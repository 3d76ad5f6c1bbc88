"""The TRL trainer of a method, on fixed rows, as a config says."""

import copy
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from configs.schema import Train
from engine.prompts import completion_ids, messages, prompt_ids
from engine.records import TrainFault, TrainingRow
from engine.train_loss import sft_trainer
from engine.train_order import training_order
from engine.train_watch import Stopped, watch

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer


class Material(NamedTuple):
    """What a training is made of."""

    learnt: list[TrainingRow]
    rehearsal: list[TrainingRow]
    held: list[TrainingRow]
    """Looked at only, for the validation loss."""


def build_trainer(
    settings: dict[str, Any],
    config: Train,
    model: "PreTrainedModel",
    tokenizer: Any,
    material: Material,
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
    if material.held:
        common |= {
            "eval_strategy": "steps",
            "eval_steps": config.validation_steps,
            "per_device_eval_batch_size": config.micro_batch_size,
            "prediction_loss_only": True,
        }
    watcher = watch(
        Path(settings["scratch"]) / "metrics.jsonl",
        rank=ray.train.get_context().get_world_rank(),
        explosion=config.explosion,
        patience=config.patience,
    )
    if config.method == "dpo":
        shared = Path(settings["scratch"]) / "pairs"
        return _dpo(common, config, model, tokenizer, material, lora, watcher, shared=shared)
    return _sft(common, config, model, tokenizer, material, lora, watcher)


def _sft(
    common: dict[str, Any],
    config: Train,
    model: "PreTrainedModel",
    tokenizer: Any,
    material: Material,
    lora: Any,
    watcher: Any,
) -> tuple["Trainer", int]:
    from datasets import Dataset
    from trl import SFTConfig

    def example(row: TrainingRow, *, rehearsed: bool) -> dict[str, Any]:
        question = prompt_ids(tokenizer, messages(row.system, row.prompt)) if row.prompt else []
        answer = completion_ids(tokenizer, row.chosen, ends=row.ends)
        ids = (question + answer)[: config.max_length]
        # A rehearsal row is labelled from its first token: see `sft_trainer`.
        ignored = 0 if rehearsed else max(1, len(question))
        return {"input_ids": ids, "labels": [-100] * ignored + ids[ignored:]}

    learnt, rehearsal, held = material
    examples = [example(row, rehearsed=False) for row in learnt]
    examples += [example(row, rehearsed=True) for row in rehearsal]
    order = training_order(
        [len(example["input_ids"]) for example in examples],
        stories=[row.story or f"row {i}" for i, row in enumerate(learnt)],
        num_rehearsal=len(rehearsal),
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=common["data_seed"],
    )
    if not order:
        reason = f"epochs={config.epochs:g} of {len(examples)} rows is not one row"
        raise Stopped(TrainFault.NOTHING_TO_LEARN, reason)
    examples = [examples[row] for row in order]
    parent = copy.deepcopy(model).eval() if rehearsal and lora is None else None
    trainer = sft_trainer()(
        model,
        args=SFTConfig(
            **common | {"num_train_epochs": 1},
            train_sampling_strategy="sequential",
            include_num_input_tokens_seen="non_padding",
        ),
        train_dataset=Dataset.from_list(examples),
        eval_dataset=Dataset.from_list([example(row, rehearsed=False) for row in held]) if held else None,
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
    material: Material,
    lora: Any,
    watcher: Any,
    *,
    shared: Path,
) -> tuple["Trainer", int]:
    import torch
    from datasets import Dataset, load_from_disk
    from trl import DPOConfig, DPOTrainer

    def pair(row: TrainingRow) -> dict[str, str]:
        prompt = tokenizer.apply_chat_template(
            messages(row.system, row.prompt), add_generation_prompt=True, tokenize=False
        )
        return {"prompt": prompt, "chosen": row.chosen, "rejected": row.rejected}

    # The reference's log-probabilities are cached beside the pairs' own files: one set for all workers.
    group = torch.distributed.is_initialized()
    if not shared.exists() and not (group and torch.distributed.get_rank()):
        for name, rows in (("learnt", material.learnt), ("held", material.held)):
            if rows:
                Dataset.from_list([pair(row) for row in rows]).save_to_disk(f"{shared}.part/{name}")
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
        train_dataset=load_from_disk(f"{shared}/learnt"),
        eval_dataset=load_from_disk(f"{shared}/held") if material.held else None,
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[watcher],
    )
    data = trainer.train_dataset
    a_pass = sum(2 * len(d["prompt_ids"]) + len(d["chosen_ids"]) + len(d["rejected_ids"]) for d in data)
    return trainer, int(a_pass * config.epochs)
