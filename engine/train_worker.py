"""What runs in a Ray Train worker: TRL's SFTTrainer or DPOTrainer on fixed rows, then a merged model.

Everything heavy is imported inside the functions: the driver names `train_loop` without paying for it.
"""

import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Train
from engine.prompts import completion_ids, messages, prompt_ids
from engine.records import TrainFault, TrainingRow, from_json
from engine.train import is_explosion

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, Trainer


class _Stopped(Exception):
    """Training that must not go on, with its named reason."""

    def __init__(self, fault: TrainFault, reason: str) -> None:
        super().__init__(reason)
        self.fault, self.reason = fault, reason


def train_loop(settings: dict[str, Any]) -> None:
    """Leave ``outcome.json`` and ``metrics.jsonl`` in ``settings["scratch"]``, the model where asked for."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    import ray.train
    import torch

    torch.set_num_threads(settings["threads"])
    if ray.train.get_context().get_world_size() == 1:
        _leave_process_group()
    # Datasets are cached by content; a cache of this worker's own keeps runs apart.
    cache = tempfile.mkdtemp(prefix="ratchet-train-")
    os.environ["HF_DATASETS_CACHE"] = cache
    try:
        outcome = _train(settings, Train.model_validate(settings["train"]), Path(cache))
    except _Stopped as stopped:
        outcome = {"fault": stopped.fault, "reason": stopped.reason}
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "allocate memory" not in str(
            error
        ):
            raise
        outcome = {"fault": TrainFault.OUT_OF_MEMORY, "reason": str(error).splitlines()[0]}
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    if ray.train.get_context().get_world_rank() == 0:
        (Path(settings["scratch"]) / "outcome.json").write_text(json.dumps(outcome))


def _train(settings: dict[str, Any], config: Train, cache: Path) -> dict[str, Any]:
    import ray.train
    import torch
    from ray.train.huggingface.transformers import RayTrainReportCallback
    from transformers import AutoModelForCausalLM, AutoTokenizer

    on_gpu = torch.cuda.is_available()
    context = ray.train.get_context()
    if settings["deepspeed"] and not on_gpu:
        _avoid_deepspeed_compile()
    rows = [from_json(TrainingRow, line) for line in Path(settings["rows"]).read_bytes().split(b"\n") if line]
    tokenizer = AutoTokenizer.from_pretrained(settings["parent"])
    # Weights, gradients and optimizer in fp32, arithmetic in bf16 by autocast: bf16 weights round small
    # updates away, and on two cores this is as fast (252 against 262 tokens/s, side by side).
    model = AutoModelForCausalLM.from_pretrained(
        settings["parent"], dtype=torch.float32, use_safetensors=True
    )
    trainer, num_tokens = _build_trainer(settings, config, model, tokenizer, rows, cache, on_gpu)
    assert trainer.accelerator.num_processes == context.get_world_size()
    trainer.add_callback(RayTrainReportCallback())
    checkpoint = ray.train.get_checkpoint()
    started = time.monotonic()
    if checkpoint:
        with checkpoint.as_directory() as directory:
            trainer.train(
                resume_from_checkpoint=str(Path(directory) / RayTrainReportCallback.CHECKPOINT_NAME)
            )
    else:
        trainer.train()
    seconds = time.monotonic() - started
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if context.get_world_rank() != 0:
        return {}
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    update_size = _save_merged(settings, config, state)
    return {
        "num_steps": trainer.state.global_step,
        "num_tokens": int(num_tokens * config.epochs),
        "seconds": seconds,
        "final_loss": round(sum(losses[-5:]) / len(losses[-5:]), 5),
        "update_size": update_size,
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
    """The TRL trainer of the method, and the non-padding tokens of one epoch."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    lora = None
    if config.tuning == "lora":
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
    }
    watch = _watch(settings, config)
    prompts = [messages(row.system, row.prompt) for row in rows]
    if config.method == "dpo":
        texts = [
            tokenizer.apply_chat_template(p, add_generation_prompt=True, tokenize=False) for p in prompts
        ]
        data = Dataset.from_list(
            [
                {"prompt": text, "chosen": row.chosen, "rejected": row.rejected}
                for text, row in zip(texts, rows, strict=True)
            ]
        )
        arguments = DPOConfig(
            **common,
            beta=config.beta,
            loss_type=["sigmoid", "sft"],
            loss_weights=[1.0, config.sft_weight],
            precompute_ref_log_probs=True,
        )
        trainer: Trainer = DPOTrainer(
            model,
            args=arguments,
            train_dataset=data,
            processing_class=tokenizer,
            peft_config=lora,
            callbacks=[watch],
        )
        lengths = [
            2 * len(d["prompt_ids"]) + len(d["chosen_ids"]) + len(d["rejected_ids"])
            for d in trainer.train_dataset
        ]
        return trainer, sum(lengths)
    examples: list[dict[str, Any]] = []
    for prompt, row in zip(prompts, rows, strict=True):
        question, answer = prompt_ids(tokenizer, prompt), completion_ids(tokenizer, row.chosen)
        ids = (question + answer)[: config.max_length]
        labels = ([-100] * len(question) + answer)[: config.max_length]
        examples.append({"input_ids": ids, "labels": labels, "length": len(ids)})
    arguments = SFTConfig(**common, train_sampling_strategy="group_by_length")
    trainer = SFTTrainer(
        model,
        args=arguments,
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[watch],
    )
    return trainer, sum(len(example["input_ids"]) for example in examples)


def _watch(settings: dict[str, Any], config: Train) -> Any:
    """The callback that writes every step's figures, stops a run gone wrong, and skips the last save."""
    import psutil  # type: ignore[import-untyped]
    import ray.train
    import torch
    from transformers import TrainerCallback

    metrics = Path(settings["scratch"]) / "metrics.jsonl"
    rank = ray.train.get_context().get_world_rank()
    first: list[float] = []
    clock = [time.monotonic(), 0.0]

    class Watch(TrainerCallback):
        def on_step_end(self, args, state, control, **_):  # type: ignore[no-untyped-def]
            if state.global_step >= state.max_steps:
                control.should_save = False  # the finished model is saved by us, merged

        def on_log(self, args, state, control, logs=None, **_):  # type: ignore[no-untyped-def]
            if not logs or "loss" not in logs:
                return
            loss, norm = float(logs["loss"]), float(logs.get("grad_norm", 0.0))
            tokens, now = float(logs.get("num_tokens", 0.0)), time.monotonic()
            speed = (tokens - clock[1]) / (now - clock[0])
            clock[:] = now, tokens
            if rank == 0:
                memory = (
                    torch.cuda.max_memory_allocated()
                    if torch.cuda.is_available()
                    else psutil.Process().memory_info().rss
                )
                entry = {
                    "time": round(time.time(), 3),
                    "step": state.global_step,
                    "loss": loss,
                    "learning_rate": logs.get("learning_rate"),
                    "grad_norm": norm,
                    "tokens": int(tokens),
                    "tokens_per_second": round(speed, 1),
                    "memory_mib": round(memory / 2**20),
                }
                with open(metrics, "a") as stream:
                    stream.write(json.dumps(entry) + "\n")
            step = state.global_step
            if norm != norm or norm == float("inf"):
                raise _Stopped(TrainFault.NAN_GRADIENT, f"the gradient norm is {norm} at step {step}")
            if len(first) < 3:
                first.append(loss)
            if is_explosion(loss, first, config.explosion):
                start = sum(first) / len(first)
                raise _Stopped(
                    TrainFault.LOSS_EXPLODED, f"the loss is {loss:.3g} at step {step}, from {start:.3g}"
                )

    return Watch()


def _save_merged(settings: dict[str, Any], config: Train, state: dict[str, "torch.Tensor"]) -> float:
    """Write the challenger as its parent is written: same dtype, same tokenizer and configs, byte for byte.

    Returns the norm of the change of all weights over the norm of the weights before.
    """
    import torch
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    from transformers import AutoModelForCausalLM

    parent, target = Path(settings["parent"]), Path(settings["model"])
    model = AutoModelForCausalLM.from_pretrained(parent, dtype=torch.float32, use_safetensors=True)
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    if config.tuning == "lora":
        lora = LoraConfig(r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules="all-linear")
        wrapped = get_peft_model(model, lora)
        adapter = {name.replace(".default.", "."): value for name, value in state.items() if "lora_" in name}
        set_peft_model_state_dict(wrapped, adapter)
        model = wrapped.merge_and_unload()
    else:
        model.load_state_dict(state, strict=not model.config.tie_word_embeddings)
    change = sum((value - before[name]).double().square().sum() for name, value in model.state_dict().items())
    size = sum(value.double().square().sum() for value in before.values())
    stored = AutoModelForCausalLM.from_pretrained(parent, use_safetensors=True).dtype
    staging = target.with_name("model.tmp")
    model.to(stored).save_pretrained(staging)
    for file in parent.iterdir():
        if (
            file.suffix in (".json", ".jinja")
            and not file.name.endswith(".index.json")
            and file.name != "manifest.json"
        ):
            shutil.copyfile(file, staging / file.name)
    staging.rename(target)
    return float((change / size) ** 0.5)
