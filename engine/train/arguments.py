"""What every method gives to its trainer: TRL's arguments and the LoRA adapter that a config describes."""

from typing import TYPE_CHECKING, Any

from configs.training import Train
from engine.train.job import Job
from engine.train.order import Material

if TYPE_CHECKING:
    from peft import LoraConfig


def adapter(config: Train) -> "LoraConfig | None":
    """The adapter to train; None for full tuning."""
    if config.tuning == "full":
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def arguments(job: Job, material: Material) -> dict[str, Any]:
    """Keyword arguments that `trl.SFTConfig`, `trl.DPOConfig` and their like share."""
    import torch

    config = job.config
    assert job.cache, "the worker fills it in"
    common: dict[str, Any] = {
        "output_dir": str(job.cache / "checkpoints"),
        "per_device_train_batch_size": config.micro_batch_size,
        "gradient_accumulation_steps": job.accumulation,
        "num_train_epochs": config.epochs,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.schedule,
        "warmup_steps": config.warmup_share,
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "max_length": config.max_length,
        "optim": "adamw_torch" if job.deepspeed else "adamw_torch_fused",
        "bf16": config.dtype == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": config.gradient_checkpointing,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": config.save_steps,
        "save_total_limit": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "seed": job.seed,
        "data_seed": job.seed,
        "deepspeed": job.deepspeed,
        # They are constants. Broadcast at every call, they would make workers with fewer calls wait for ever.
        "ddp_broadcast_buffers": False,
    }
    if material.validation:
        common |= {
            "eval_strategy": "steps",
            "eval_steps": config.validation_steps,
            "per_device_eval_batch_size": config.micro_batch_size,
            "prediction_loss_only": True,
        }
    return common
