"""Whether the weights of a model directory are those that its config.json speaks of, by names and shapes.

transformers draws what is missing at random and passes over what is too much, so that no start would tell.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.models.identity import ModelError, Tensor
from engine.models.native import TIED, has_own_head
from engine.models.suitable import of_text

_HEADS = ("lm_head", "embed_out", "output", "output_layer", "output_projection", "head", "decoder")
_EMBEDDINGS = ("embed_tokens", "wte", "embed_in", "word_embeddings", "tok_embeddings")
_STACKS = ("layers", "h", "blocks", "block", "layer")
"""Names of the modules that turn states into tokens, tokens into states, and of all layers, by family."""
_FLOATS = ("F64", "F32", "F16", "BF16")
"""Types of tensors whose shape is that of what they hold: a quantised one may be packed."""


def require_head(file: Path, config: Mapping[str, Any], held: list[Tensor]) -> None:
    """Refuse a config.json by which the model has a head of its own that no file holds. Raises ModelError."""
    text = of_text(config)
    tied = config.get(TIED, text.get(TIED))
    if tied or any(_module_of(tensor) in _HEADS for tensor in held):
        return
    kind = str(config.get("model_type"))
    if tied is False:
        says = f"says {TIED}: false"
    elif text is config and has_own_head(kind):
        says = f"does not say {TIED}, which is false for model_type {kind}"
    else:
        return
    raise ModelError(
        f"{file} {says}, but no file holds a head (lm_head.weight): set it to "
        "true if the embedding is the head, else fetch the file that is missing"
    )


def embedding_of(file: Path, config: Mapping[str, Any], held: list[Tensor]) -> Tensor | None:
    """The tensor that turns tokens into states; None where the family calls it otherwise.

    Raises ModelError where its sizes are not those that config.json says.
    """
    found = next((tensor for tensor in held if _is_embedding(tensor)), None)
    if found is None:
        return None
    text, (rows, width) = of_text(config), found.shape
    size, hidden = text.get("vocab_size"), text.get("hidden_size")
    if isinstance(size, int) and rows != size:
        raise ModelError(
            f"{file} says vocab_size {size}, but {found.name} in {found.file.name} has {rows} "
            f"rows: set vocab_size to {rows}, or take both from the same checkpoint"
        )
    # Some families embed in fewer numbers than their states have, and say so under another key.
    others = [value for key, value in text.items() if "emb" in key]
    if found.dtype in _FLOATS and isinstance(hidden, int) and width not in (hidden, *others):
        raise ModelError(
            f"{file} says hidden_size {hidden}, but {found.name} in {found.file.name} has rows of {width} "
            "numbers: take both from the same checkpoint"
        )
    return found


def require_layers(
    file: Path, config: Mapping[str, Any], held: list[Tensor], embedding: Tensor | None
) -> None:
    """Refuse files that hold fewer layers than config.json says, or more of the same. Raises ModelError."""
    said = of_text(config).get("num_hidden_layers")
    if embedding is None or not isinstance(said, int) or config.get("is_encoder_decoder"):
        return
    layers = _layers_beside(embedding, held)
    if not layers and any(re.search(r"\.\d+\.", tensor.name) for tensor in held):
        return  # the family calls them otherwise
    num = max(layers, default=-1) + 1
    # A family may keep further layers behind its own, as for guessing tokens ahead: they have other parts.
    ordinary = [parts for number, parts in layers.items() if number < said]
    doubled = any(parts in ordinary for number, parts in layers.items() if number >= said)
    if num < said or doubled:
        remedy = f"set it to {num}" if num else "fetch the files that are missing"
        raise ModelError(
            f"{file} says num_hidden_layers {said}, but the files hold {num} layers: {remedy}, or take both "
            "from the same checkpoint"
        )


def _layers_beside(embedding: Tensor, held: list[Tensor]) -> dict[int, set[str]]:
    """By the number of a layer the names of what is in it, of the layers that stand beside an embedding."""
    beside = embedding.name.removesuffix(f"{_module_of(embedding)}.weight")
    in_layer = re.compile(rf"{re.escape(beside)}(?:{'|'.join(_STACKS)})\.(\d+)\.(.+)")
    layers: dict[int, set[str]] = {}
    for tensor in held:
        if found := in_layer.fullmatch(tensor.name):
            layers.setdefault(int(found[1]), set()).add(found[2])
    return layers


def _is_embedding(tensor: Tensor) -> bool:
    named = tensor.name.endswith(".weight") and _module_of(tensor) in _EMBEDDINGS
    return named and len(tensor.shape) == 2


def _module_of(tensor: Tensor) -> str:
    """The name of the module that a tensor belongs to, without those around it."""
    return tensor.name.rpartition(".")[0].rpartition(".")[2]
