"""What runs in a Ray Train worker: TRL's SFTTrainer or DPOTrainer on fixed rows, then a merged model.

Everything heavy is imported inside the functions: the driver names `train_loop` without paying for it.
"""

import json
import math
import os
import shutil
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from configs.schema import Train
from engine.disk.files import replace_file
from engine.models.merge import save_merged
from engine.models.nodes import at_hand
from engine.plan.footprint import EAGER_LENGTH
from engine.records import TrainingRow, from_json
from engine.train.build import build_trainer
from engine.train.order import Material, fitting, held_out
from engine.train.watch import Stopped, fault_of, pause


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
    parent = at_hand(settings["parent"])
    tokenizer = AutoTokenizer.from_pretrained(parent)
    rows = [from_json(TrainingRow, line) for line in Path(settings["rows"]).read_bytes().split(b"\n") if line]
    num_own = len(rows) - settings["num_rehearsal"]
    learnt = fitting(rows[:num_own], tokenizer, config)
    num_too_long = num_own - len(learnt)
    learnt, held = held_out(learnt, config.validation_share, settings["seed"])
    material = Material(learnt, rows[num_own:], held)
    # What is trained is kept in fp32, with arithmetic in bf16: bf16 weights round small updates away.
    # Under LoRA the frozen weights need no more than bf16, which saves a cast of each at every step.
    frozen_bf16 = config.tuning == "lora" and config.dtype == "bfloat16"
    model = AutoModelForCausalLM.from_pretrained(
        parent,
        dtype=torch.bfloat16 if frozen_bf16 else torch.float32,
        attn_implementation="eager" if not on_gpu and config.max_length <= EAGER_LENGTH else None,
        use_safetensors=True,
    )
    trainer, num_tokens = build_trainer(settings, config, model, tokenizer, material, cache, on_gpu)
    assert trainer.accelerator.num_processes == context.get_world_size()
    paused = pause(settings["until"])
    for callback in (paused, RayTrainReportCallback()):
        trainer.add_callback(callback)
    checkpoint = ray.train.get_checkpoint()
    started = time.monotonic()
    # A worker that takes the place of a lost one is further than the stretch before.
    with checkpoint.as_directory() if checkpoint else nullcontext(settings["state"]) as directory:
        saved = f"{directory}/{RayTrainReportCallback.CHECKPOINT_NAME}" if directory else None
        trainer.train(resume_from_checkpoint=saved)
    seconds = time.monotonic() - started
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if context.get_world_rank() != 0:
        return {}
    # With ZeRO-3 in force, loading a model would shard it over workers that have already left.
    unset_hf_deepspeed_config()
    state = trainer.state
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    saved_as = save_merged(config, weights, parent=parent, target=Path(settings["model"]))
    now = num_tokens * (state.global_step - paused.begun) / state.max_steps
    return {
        "num_steps": state.global_step,
        "num_tokens": round(num_tokens * state.global_step / state.max_steps),
        "num_too_long": num_too_long,
        "stopped_early": state.global_step < math.ceil(settings["until"] * state.max_steps),
        "seconds": seconds,
        "tokens_per_second": round(now / seconds, 1),
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
