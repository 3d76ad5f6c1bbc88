"""Throughput of LoRA on a model with the shape of Qwen3-8B, whose random weights are made on the GPU.

The trainers are those that our workers run, on rows of one length, but without Ray and without the merged
model at the end: nothing of 16 GB touches a disk. Seconds are those of optimizer steps after the first ones.
"""

import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.load import load
from configs.training import Train
from engine.disk.jsonl import objects
from engine.models.nodes import ModelRef
from engine.models.prompts import messages
from engine.plan.footprint import CONTEXT, GIB, SHIPPED, trainer
from engine.records import TrainingRow
from engine.train.job import Job
from engine.train.methods import load_method
from engine.train.order import Material
from tests.bench.gpu.machine import peak_of, seen_by_driver
from tests.bench.gpu.work import Failed, Skipped, Work

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONFIG = "configs/one-gpu.yaml"
SHAPE = SHIPPED["Qwen/Qwen3-8B"]
BATCH = 8
"""Rows a step, instead of 32: a token costs the same, and there are more steps to measure."""
WARM = 4
"""Steps that are not counted."""
_WORDS = ("and", "of", "to", "in", "is", "it", "that", "he", "was", "for", "on", "are", "as", "with", "his")
"""Each is one token in the usual vocabularies."""


def settings(key: str) -> Train:
    """One of the trainings of the shipped config, with smaller steps."""
    return load(CONFIG).trains[key].model_copy(update={"batch_size": BATCH, "dtype": "bfloat16"})


def sft(work: Work) -> None:
    """12 steps of 8 rows of about 830 tokens."""
    _measure(work, settings("warm_start.train"), num_steps=12)


def dpo(work: Work) -> None:
    """8 steps of 8 pairs; TRL first hashes the model and computes the reference's log-probabilities."""
    _measure(work, settings("loop.train"), num_steps=8)


def _measure(work: Work, config: Train, num_steps: int) -> None:
    os.environ["HF_DATASETS_CACHE"] = str(work.place / "datasets")
    began = time.perf_counter()
    import torch
    from transformers import AutoTokenizer

    from engine.train.watch import Watch

    tokenizer, method = AutoTokenizer.from_pretrained(work.model), load_method(config)
    rows = rows_of(BATCH * num_steps)
    require_fit(
        rows, lambda row: max(len(text.ids) for text in method.tokens(row, tokenizer, config)), config
    )
    model = _on_gpu()
    work.found("imports and the model", time.perf_counter() - began, "s")
    material, began = Material(learn=rows, hold=[], validation=[]), time.time()
    trains, num_tokens = method.trainer(job_of(work.place, config), model, tokenizer, material)
    metrics = work.place / "metrics.jsonl"
    trains.add_callback(Watch(metrics, rank=0, explosion=config.explosion, patience=config.patience))
    trains.train()
    steps = objects(metrics)
    if len(steps) != num_steps:
        raise Failed(f"{len(steps)} steps were taken, not {num_steps}")
    work.found("to the end of the first step", steps[0]["time"] - began, "s")
    seconds = steps[-1]["time"] - steps[WARM - 1]["time"]
    rate = num_tokens * (num_steps - WARM) / num_steps / seconds
    work.found("throughput", rate, "tokens/s")
    if peak := peak_of(seen_by_driver().name):
        work.found("share of the peak", 100 * operations(rate) / peak, "%")
    work.found("peak of GPU memory", torch.cuda.max_memory_allocated() / GIB, "GiB")
    work.found("estimated by `ratchet plan`, with CUDA's context", needed(config) / GIB, "GiB")


def operations(rate: float) -> float:
    """Operations a second that `rate` tokens a second take, as few as it could be done with.

    Two for each weight of a layer forward, and two for the gradient of what comes in; the weights themselves
    do not learn. Head, attention, adapters and what checkpointing computes again are not counted.
    """
    layers = SHAPE.num_parameters - 2 * SHAPE.vocabulary * SHAPE.hidden
    return 4 * layers * rate


def needed(config: Train) -> int:
    """Bytes of GPU memory that our plan expects of such a training at its longest rows."""
    return CONTEXT + trainer(SHAPE, config).total


def shape_keys() -> dict[str, Any]:
    """The shape of Qwen3-8B as its config.json has it, from nothing that would have to be downloaded."""
    return {
        "vocab_size": SHAPE.vocabulary,
        "hidden_size": SHAPE.hidden,
        "intermediate_size": SHAPE.intermediate,
        "num_hidden_layers": SHAPE.layers,
        "num_attention_heads": SHAPE.heads,
        "num_key_value_heads": SHAPE.kv_heads,
        "head_dim": SHAPE.head_dim,
        "tie_word_embeddings": SHAPE.tied,
    }


def _on_gpu() -> "PreTrainedModel":
    import torch
    from transformers import AutoModelForCausalLM, Qwen3Config

    torch.manual_seed(0)
    with torch.device("cuda"):
        return AutoModelForCausalLM.from_config(Qwen3Config(**shape_keys()), dtype=torch.bfloat16)


def rows_of(num: int) -> list[TrainingRow]:
    """Rows of random words, 400 asked and 400 answered; their two answers differ."""
    rng = random.Random(0)

    def words() -> str:
        return " ".join(rng.choices(_WORDS, k=400))

    return [
        TrainingRow(problem_id=str(i), chat=messages("", [words()]), chosen=words(), rejected=words())
        for i in range(num)
    ]


def require_fit(rows: Sequence[TrainingRow], length: Callable[[TrainingRow], int], config: Train) -> None:
    """Raises Skipped where the small model's tokenizer makes more of the words than a row may have."""
    longest = max(map(length, rows))
    if longest > config.max_length:
        raise Skipped(
            f"800 words are {longest} tokens of this tokenizer, and a row holds {config.max_length}"
        )


def job_of(place: Path, config: Train) -> Job:
    """What a worker would be given, for a model that is already there."""
    cache = place / "cache"
    cache.mkdir()
    return Job(
        config=config,  # type: ignore[arg-type]  # loaded from a file, so that it is one of the union
        deepspeed=None,
        parent=ModelRef("", "", (), None),
        out=place,
        scratch=place,
        threads=os.cpu_count() or 1,
        seed=0,
        until=1,
        state=None,
        cache=cache,
    )
