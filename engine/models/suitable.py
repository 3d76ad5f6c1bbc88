"""Whether a sound model suits what is asked of it: requests of some length, and training."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.models.identity import ModelError, read_json
from engine.models.native import is_native

CONFIG = "config.json"
_CONTEXTS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_target_positions",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
)
"""Where vLLM looks for the length of a model's context, of which it takes the least."""
_SCALED = ("su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling")
"""Scalings of positions after which config.json has the length that they lead to."""


def require_room(model: Path, tokens: int, key: str) -> None:
    """Refuse requests of up to so many tokens, as a config's `key` says, beyond a model's context.

    Raises ModelError.
    """
    context = context_of(read_json(model / CONFIG))
    if context and tokens > context[1]:
        name, most = context
        raise ModelError(
            f"{key} must be at most {most}, the model's own context, got {tokens}: see {name} in "
            f"{model / CONFIG}"
        )


def context_of(config: Mapping[str, Any]) -> tuple[str, int] | None:
    """The key of a config.json that limits a model's context, and the tokens that vLLM allows for it."""
    text = of_text(config)
    lengths = {key: text[key] for key in _CONTEXTS if isinstance(text.get(key), int)}
    if not lengths:
        return None
    own = "model_max_length"
    key = own if lengths.get(own) else min(lengths, key=lambda key: lengths[key])
    factor = 1.0
    for rope in _ropes(text):
        kind = rope.get("rope_type", rope.get("type"))
        if kind not in _SCALED and isinstance(rope.get("factor"), int | float):
            factor = float(rope["factor"])
    if "gemma3" in str(text.get("model_type", config.get("model_type"))):
        factor = 1.0
    return key, int(lengths[key] * factor)


def _ropes(text: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """How positions are scaled: for all layers, or by kinds of layers."""
    rope = text.get("rope_parameters") or text.get("rope_scaling")
    if isinstance(rope, dict):
        yield from [each for each in rope.values() if isinstance(each, dict)] or [rope]


def require_trainable(model: Path) -> None:
    """Refuse a model that can answer, and cannot be trained. Raises ModelError."""
    file, apart = model / CONFIG, model / "hf_quant_config.json"
    config = read_json(file)
    for part in (config, of_text(config)):
        if how := part.get("quantization_config") or part.get("quantization"):
            method = how.get("quant_method") if isinstance(how, dict) else None
            raise _quantised(file, f" ({method})" if method else "")
    if apart.exists():
        raise _quantised(apart, "")
    if config.get("model_type") and not is_native({"model_type": config["model_type"]}):
        raise ModelError(
            f"{file} is of model_type {config['model_type']}, for which transformers has no language model "
            "that could be trained: name a model of an architecture that it has"
        )


def require_packable(model: Path) -> None:
    """Refuse packed rows for a model in which one would reach the next otherwise than by attention.

    transformers masks attention, and neither a state that goes from token to token nor a convolution. Raises
    ModelError.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    kind = AutoModelForCausalLM._model_mapping[type(config)]
    layers = set(getattr(config.get_text_config(), "layer_types", None) or ())
    others = sorted(layers - {"full_attention", "sliding_attention"})
    if others or kind._is_stateful or not kind._supports_attention_backend:
        what = f"layers of {', '.join(others)}" if others else f"what {kind.__name__} computes"
        raise ModelError(
            f"packing must be false with {model}: {what} would mix rows that lie in one sequence; without it "
            "they are padded"
        )


def _quantised(file: Path, method: str) -> ModelError:
    return ModelError(
        f"{file} is of a quantised model{method}, which cannot be trained: name the checkpoint that it was "
        "made from, in bfloat16 or float32"
    )


def of_text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config.json on the language model, where it is of several models."""
    part = config.get("text_config")
    return part if isinstance(part, dict) else config
