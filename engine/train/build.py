"""The TRL trainer of a method, on fixed rows, as a config says."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Train
from engine.train.methods.dpo import _dpo
from engine.train.methods.sft import _sft
from engine.train.order import Material
from engine.train.watch import watch

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer


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
