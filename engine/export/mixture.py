"""Which number type each tensor of a GGUF file gets at a level: llama.cpp's own mixtures.

The rules are those of `tensor_allows_quantization`, `llama_tensor_get_type` and `tensor_type_fallback` in
llama.cpp's src/llama-quant.cpp (build 11549, MIT), for the levels that are offered here, without an
importance matrix, and without those of the one architecture glm5-next. No package has them without a
compiler; the arithmetic itself is llama.cpp's (`gguf.py`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.export.levels import Level


class Tensor(NamedTuple):
    """A tensor as a GGUF file lists it."""

    name: str
    extents: tuple[int, ...]
    """The length of a row comes first, as ggml orders them."""
    kind: str
    """Number type, as ggml names it: ``F32``, ``BF16``, ``Q4_K``, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What the mixture depends on besides names and shapes."""

    name: str
    num_layers: int
    num_experts: int = 0
    shares_heads: bool = False
    """Whether several query heads share a key and value head."""


BLOCKS = {"F16": 1, "Q8_0": 32, "Q5_0": 32, "Q5_1": 32, "Q4_K": 256, "Q5_K": 256, "Q6_K": 256}
"""Weights that are stored together; a row must be a multiple of it."""
_DEFAULTS = {
    Level.F16: "F16",
    Level.Q8_0: "Q8_0",
    Level.Q6_K: "Q6_K",
    Level.Q5_K_M: "Q5_K",
    Level.Q4_K_M: "Q4_K",
}
_SMALLER_BLOCKS = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""What takes the place of a type whose blocks do not fit a row; where these do not fit either, F16 does."""
_KEPT = (
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    *(f"time_mix_{part}.weight" for part in ("first", "w0", "w1", "w2", "v0", "v1", "v2", "a0", "a1", "a2")),
    *(f"time_mix_{part}.weight" for part in ("g1", "g2", "decay_w1", "decay_w2", "lerp_fused")),
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
)
"""Tensors whose names hold any of these are small or sensitive, and stay as they are."""
_KEPT_NAMES = ("position_embd.weight", "token_types.weight")
_EMBEDDINGS = ("token_embd.weight", "per_layer_token_embd.weight")
_VALUES = ("attn_qkv.weight", "attn_kv_b.weight", "attn_v.weight")
"""Tensors that attention reads values from: they suffer most."""


def mixture(tensors: Sequence[Tensor], architecture: Architecture, level: Level) -> dict[str, str]:
    """The number type of every tensor at a level, by name."""
    kinds = {tensor.name: tensor.kind for tensor in tensors}
    chosen = [tensor for tensor in sorted(tensors, key=_place) if _is_quantised(tensor)]
    if level is Level.F16:
        return kinds | dict.fromkeys((tensor.name for tensor in chosen), "F16")
    mixing = _Mixing(architecture, level, tensors)
    return kinds | {tensor.name: _fitting(tensor, mixing.kind(tensor)) for tensor in chosen}


class _Mixing:
    """Goes through the tensors layer by layer, because some layers of a kind get more bits than others."""

    def __init__(self, architecture: Architecture, level: Level, tensors: Sequence[Tensor]) -> None:
        self._architecture, self._level = architecture, level
        names = [tensor.name for tensor in tensors]
        self._num_values = sum(_is_value(name) for name in names)
        self._is_tied = "output.weight" not in names
        self._values = self._downs = 0

    def kind(self, tensor: Tensor) -> str:
        """The type of the next tensor, before its rows are looked at."""
        name, default = tensor.name, _DEFAULTS[self._level]
        if name == "output.weight" or (self._is_tied and name in _EMBEDDINGS):
            fits = _fits(tensor, default) and self._architecture.name != "falcon"
            return "Q6_K" if fits and default != "Q8_0" else "Q8_0"
        if name in _EMBEDDINGS:
            return default
        if _is_value(name):
            return self._value(default)
        if "attn_k.weight" in name:
            return "Q8_0" if self._has_eight_experts else default
        if "ffn_down" in name:
            return self._down(name, default)
        if "attn_output.weight" in name and self._has_eight_experts and self._level is Level.Q4_K_M:
            return "Q5_K"
        return default

    @property
    def _has_eight_experts(self) -> bool:
        return self._architecture.num_experts == 8

    @property
    def _is_mixed(self) -> bool:
        return self._level in (Level.Q4_K_M, Level.Q5_K_M)

    def _value(self, default: str) -> str:
        place, self._values = self._values, self._values + 1
        if self._has_eight_experts:
            return "Q8_0"
        if self._is_mixed and _gets_more_bits(place, self._num_values):
            return "Q6_K"
        # Of 80 layers with shared heads these tensors are small, so that more bits cost little.
        is_70b = self._architecture.num_layers == 80 and self._architecture.shares_heads
        return "Q5_K" if default == "Q4_K" and is_70b else default

    def _down(self, name: str, default: str) -> str:
        place, num = self._downs, self._architecture.num_layers
        self._downs += 1
        if self._architecture.num_experts > 1:
            place = _layer(name)
        if not self._is_mixed:
            return default
        more = _gets_more_bits(place, num)
        if self._architecture.name == "falcon" and self._level is Level.Q4_K_M:
            return "Q6_K" if place < num // 16 else "Q5_K" if more else default
        return "Q6_K" if more else default


def _place(tensor: Tensor) -> tuple[int, str]:
    """The order in which llama.cpp goes through the tensors: what belongs to no layer comes first."""
    return _layer(tensor.name), tensor.name


def _layer(name: str) -> int:
    found = re.match(r"blk\.(\d+)\.", name)
    return int(found[1]) if found else -1


def _is_value(name: str) -> bool:
    return any(part in name for part in _VALUES)


def _is_quantised(tensor: Tensor) -> bool:
    """Whether a tensor is stored at the level's precision at all."""
    is_matrix = any(extent > 1 for extent in tensor.extents[1:])
    is_kept = tensor.name in _KEPT_NAMES or any(part in tensor.name for part in _KEPT)
    return is_matrix and tensor.name.endswith("weight") and not is_kept


def _gets_more_bits(place: int, num: int) -> bool:
    """The first and the last eighth of the layers, and every third one between."""
    return place < num // 8 or place >= 7 * num // 8 or (place - num // 8) % 3 == 2


def _fitting(tensor: Tensor, kind: str) -> str:
    """The type itself, or one of smaller blocks where a row is no multiple of them."""
    fitting = (each for each in (kind, _SMALLER_BLOCKS.get(kind, kind)) if _fits(tensor, each))
    return next(fitting, "F16")


def _fits(tensor: Tensor, kind: str) -> bool:
    return tensor.extents[0] % BLOCKS[kind] == 0


def shares(kinds: Mapping[str, str], tensors: Sequence[Tensor]) -> dict[str, float]:
    """The share of all weights that each number type stores, the largest first."""
    counts: dict[str, int] = {}
    for tensor in tensors:
        num = 1
        for extent in tensor.extents:
            num *= extent
        counts[kinds[tensor.name]] = counts.get(kinds[tensor.name], 0) + num
    total = sum(counts.values())
    return {kind: num / total for kind, num in sorted(counts.items(), key=lambda each: -each[1])}
