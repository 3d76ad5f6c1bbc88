"""How many bytes a model takes to sample from and to train, estimated from its config.json.

python -c "from engine.plan.footprint import SHIPPED; print(SHIPPED['embedded'].num_parameters)"
"""

import json
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any, Self

from configs.schema import HubModel, Sampler
from configs.training import Train
from engine.models.check import check_model

GIB = 1 << 30
PROCESS = GIB
"""Resident size of a Python process that has imported torch, transformers and ray."""
TRAINABLE_BYTES = 16
"""Bytes of a trained weight in mixed precision with Adam: 2 weight + 2 gradient + 4 master + 8 moments (ZeRO
2020)."""
LAYER_BYTES = 34
"""Activations of a transformer layer in 16 bit, bytes per token and hidden unit (Korthikanti et al. 2022)."""

QUANTISED_BYTES = {"8bit": 1.01, "4bit": 0.52}
"""Bytes of a quantised weight with its constants: 4 for each row of int8; of nf4, quantised twice, 0.127 bits
a weight (Dettmers et al. 2023)."""

CONTEXT = GIB
"""Memory of a GPU that every process on it takes: CUDA's context, kernels and NCCL's buffers."""
STEP_TOKENS = 16_384
"""Prompt tokens that vLLM computes at once by default on GPUs of 70 GiB or more; on others 8,192."""
ZERO2_BUCKET, ZERO2_BUCKET_BYTES = 500_000_000, 18
"""ZeRO-2's default bucket: its weights, and the bytes of each with `overlap_comm`, 2 x 2 x 4.5 (DeepSpeed's
documentation of `overlap_comm`: 9 GB)."""

EAGER_LENGTH = 512
"""Longest rows for which training on a CPU writes the attention matrices out. For short rows that is faster
than the backward pass of PyTorch's fused attention: 1.1 to 1.4 times for a step of 8 rows of 100 tokens."""
ATTENTION_BYTES = 8
"""Bytes per pair of tokens and head of such a matrix: weights in 32 and in 16 bit, and the mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes in a decoder's config.json that decide its memory."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool

    @classmethod
    def of(cls, config: dict[str, Any]) -> Self:
        """Raises KeyError or TypeError for other names of sizes, layers of several sizes, and for experts."""
        if any(value for key, value in config.items() if "experts" in key):
            raise KeyError("experts")
        hidden, heads = index(config["hidden_size"]), index(config["num_attention_heads"])
        return cls(
            hidden=hidden,
            intermediate=index(config["intermediate_size"]),
            layers=index(config["num_hidden_layers"]),
            heads=heads,
            kv_heads=index(config.get("num_key_value_heads") or heads),
            head_dim=index(config.get("head_dim") or hidden // heads),
            vocabulary=index(config["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings")),
        )

    def _linear(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of the matrices of one layer: query, key, value, output, gate, up, down."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = [(self.hidden, query), (self.hidden, key), (self.hidden, key), (query, self.hidden)]
        return [*attention, *[(self.hidden, self.intermediate)] * 2, (self.intermediate, self.hidden)]

    @property
    def num_parameters(self) -> int:
        layer = sum(inputs * outputs for inputs, outputs in self._linear()) + 2 * self.hidden
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return self.layers * layer + embeddings + self.hidden

    @property
    def num_linear(self) -> int:
        """Weights of the layers' matrices."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self._linear())

    def num_adapter_parameters(self, rank: int) -> int:
        """Weights of LoRA on every linear layer."""
        return self.layers * rank * sum(inputs + outputs for inputs, outputs in self._linear())

    def kv_bytes(self, dtype: str) -> int:
        """Bytes of KV cache for one token."""
        return 2 * self.layers * self.kv_heads * self.head_dim * width(dtype)


SHIPPED = {
    "embedded": Shape(
        hidden=576,
        intermediate=1536,
        layers=30,
        heads=9,
        kv_heads=3,
        head_dim=64,
        vocabulary=49152,
        tied=True,
    ),
    "deepseek-ai/deepseek-coder-7b-instruct-v1.5": Shape(
        hidden=4096,
        intermediate=11008,
        layers=30,
        heads=32,
        kv_heads=32,
        head_dim=128,
        vocabulary=102400,
        tied=False,
    ),
    "Qwen/Qwen3-8B": Shape(
        hidden=4096,
        intermediate=12288,
        layers=36,
        heads=32,
        kv_heads=8,
        head_dim=128,
        vocabulary=151936,
        tied=False,
    ),
}
"""Bases of the shipped configs, so that a plan can be checked before anything is downloaded."""


def width(dtype: str) -> int:
    return 4 if dtype == "float32" else 2


def shape_of(base: str | HubModel) -> Shape | None:
    """Sizes of a config's `base`; None for a hub model that is not downloaded, or an unknown architecture.

    Raises engine.models.identity.ModelError for a local directory that is missing or corrupt.
    """
    if isinstance(base, HubModel):
        if base.hub in SHIPPED:
            return SHIPPED[base.hub]
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(base.hub, "config.json", revision=base.revision)
        if not isinstance(cached, str):
            return None
        file = Path(cached)
    elif base in SHIPPED:
        return SHIPPED[base]
    else:
        check_model(Path(base).absolute())
        file = Path(base) / "config.json"
    try:
        return Shape.of(json.loads(file.read_bytes()))
    except (KeyError, TypeError):
        return None


def sampler_weights(shape: Shape, sampler: Sampler) -> int:
    """Bytes of the weights in one sampler, over all its GPUs."""
    return shape.num_parameters * width(sampler.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerMemory:
    """Bytes on each GPU of one sampler."""

    weights: int
    kv_cache: int
    activations: int
    context: int

    @property
    def total(self) -> int:
        return self.weights + self.kv_cache + self.activations + self.context


def sampler_on_gpu(shape: Shape, sampler: Sampler, gpu_memory: int | None = None) -> SamplerMemory:
    """Bytes that a sampler holds on each of its GPUs.

    The KV cache is that of one request of full length or, with `gpu_memory` bytes, all that its share of them
    leaves, as vLLM takes it.
    """
    parallel = sampler.tensor_parallel
    # Queries, keys, values and the two halves of the feed-forward layer, of the largest step's tokens.
    a_token = 4 * shape.hidden + 2 * shape.intermediate // parallel
    logits = sampler.max_num_seqs * shape.vocabulary * 8  # in 32 bit, with their sorted or normalized copy
    weights = sampler_weights(shape, sampler) // parallel
    activations = STEP_TOKENS * a_token * width(sampler.dtype) + logits
    # A head of keys and values is not split: with fewer heads than GPUs, several GPUs hold the same head.
    a_cached = shape.kv_bytes(sampler.dtype) // min(parallel, shape.kv_heads)
    kv_cache = a_cached * sampler.max_model_len
    if gpu_memory is not None:
        kv_cache = max(0, int(gpu_memory * sampler.gpu_memory) - weights - activations - CONTEXT)
    return SamplerMemory(weights=weights, kv_cache=kv_cache, activations=activations, context=CONTEXT)


def trained_weights(shape: Shape, train: Train) -> int:
    """How many weights learn."""
    if train.tuning == "full":
        return shape.num_parameters
    return shape.num_adapter_parameters(train.lora_rank)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerMemory:
    """Bytes of one train worker, at its largest micro-batch."""

    weights: int
    """Weights that learn."""
    gradients: int
    optimizer: int
    """Adam's two moments, and DeepSpeed's weights in 32 bit."""
    frozen: int
    """Weights that do not learn: the base under LoRA, else the head of a parent that a model is held to."""
    activations: int
    """Activations kept for the backward pass, copies of weights in 16 bit, and logits."""
    communication: int
    """Buckets of gradients that workers exchange."""

    @property
    def total(self) -> int:
        states = self.weights + self.gradients + self.optimizer + self.frozen
        return states + self.activations + self.communication


def model_states(num: int, train: Train) -> tuple[int, int, int]:
    """Bytes per worker of `num` weights that learn, their gradients, and the optimizer: 16 a weight in all.

    ZeRO-2 shards gradients and optimizer, ZeRO-3 the weights as well (Rajbhandari et al. 2020).
    """
    if not _sharded(train):
        # PyTorch's autocast keeps weights and gradients in 32 bit.
        return 4 * num, 4 * num, (TRAINABLE_BYTES - 8) * num
    each = width(train.dtype) * num
    weights = each // train.num_workers if _zero(train) == 3 else each
    return weights, each // train.num_workers, (TRAINABLE_BYTES * num - 2 * each) // train.num_workers


def trainer(shape: Shape, train: Train, *, on_cpu: bool = False) -> TrainerMemory:
    """One train worker at its largest micro-batch."""
    trained = trained_weights(shape, train)
    weights, gradients, optimizer = model_states(trained, train)
    frozen = 0
    if train.tuning == "lora":
        frozen = frozen_bytes(shape, train)
    elif train.held_share:
        frozen = 4 * shape.vocabulary * shape.hidden
    communication = 0
    if _sharded(train):
        frozen //= train.num_workers if _zero(train) == 3 else 1
        communication = ZERO2_BUCKET_BYTES * min(ZERO2_BUCKET, trained) if _zero(train) == 2 else 0
    elif train.num_workers > 1:
        communication = gradients
    return TrainerMemory(
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        frozen=frozen,
        activations=_activations(shape, train, trained, on_cpu),
        communication=communication,
    )


def frozen_bytes(shape: Shape, train: Train) -> int:
    """The base that an adapter learns beside.

    Quantised are the matrices of its layers; embeddings, head and norms are then kept in 32 bit (PEFT).
    """
    if train.quantize is None:
        return shape.num_parameters * width(train.dtype)
    rest = shape.num_parameters - shape.num_linear
    return int(shape.num_linear * QUANTISED_BYTES[train.quantize]) + 4 * rest


def _activations(shape: Shape, train: Train, trained: int, on_cpu: bool) -> int:
    tokens = train.micro_batch_size * train.max_length * train.TEXTS_A_ROW
    scale = width(train.dtype) // 2
    layer = tokens * shape.hidden * LAYER_BYTES * scale
    kept = tokens * shape.hidden * 2 * scale * shape.layers + layer
    activations = kept if train.gradient_checkpointing else layer * shape.layers
    if on_cpu and train.max_length <= EAGER_LENGTH:
        activations += tokens * train.max_length * shape.heads * ATTENTION_BYTES * shape.layers
    # Autocast keeps what it rounded until the backward pass has used it; DeepSpeed's weights are rounded.
    copies = 2 * trained if train.dtype == "bfloat16" and not _sharded(train) else 0
    logits = tokens * shape.vocabulary * (width(train.dtype) + 8)  # with a copy in 32 bit and its gradient
    return activations + copies + logits


def _sharded(train: Train) -> bool:
    return bool(train.deepspeed) and train.num_workers > 1


def _zero(train: Train) -> int:
    return 3 if "zero3" in (train.deepspeed or "") else 2
