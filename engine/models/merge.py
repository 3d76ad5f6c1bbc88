"""Saves a trained state as a model like its parent: adapters merged, same dtype, tokenizer and configs."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from configs.training import Train
from engine.models.liveness import reference
from engine.models.load import load_model
from engine.models.prompts import tokenizer_of
from engine.models.reference import Reference, logprobs, refer, texts_for

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class Merged(NamedTuple):
    """What is known of a challenger that was saved."""

    update_size: float
    """Norm of the change of all weights over the norm of the weights before."""
    scores: tuple[float, ...]
    """Its scores of `liveness.TEXTS`."""
    reference: Reference


def save_merged(
    config: Train,
    state: dict[str, "torch.Tensor"],
    *,
    parent: Path,
    parent_id: str,
    target: Path,
    rows: Sequence[Sequence[int]] = (),
) -> Merged:
    """Write the challenger in its parent's form: same dtype, and tokenizer and configs copied byte for byte.

    The parent's generation config is copied without being used: transformers refuses to save some of them.
    `rows` are a few of those learnt from, as tokens, on which challenger and parent differ.
    """
    import torch
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    from transformers import GenerationConfig

    model = load_model(parent)
    model.generation_config = GenerationConfig()
    stored = model.dtype
    model.to(torch.float32)
    tokenizer = tokenizer_of(parent)
    texts = texts_for(tokenizer, rows)
    its_parent = logprobs(model, texts)
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    size = math.hypot(*map(_norm, before.values()))
    if config.tuning == "lora":
        lora = LoraConfig(r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules="all-linear")
        wrapped = get_peft_model(model, lora)
        adapter = {name.replace(".default.", "."): value for name, value in state.items() if "lora_" in name}
        set_peft_model_state_dict(wrapped, adapter)
        model = wrapped.merge_and_unload()
    else:
        model.load_state_dict(state, strict=not model.config.tie_word_embeddings)
    change = math.hypot(*(_norm(value - before[name]) for name, value in model.state_dict().items()))
    before.clear()
    staging = target.with_name("model.tmp")
    for left in (staging, target):  # left behind by a worker that was lost while it saved
        shutil.rmtree(left, ignore_errors=True)
    _cast(model, stored)
    model.save_pretrained(staging)
    (staging / "generation_config.json").unlink(missing_ok=True)
    _cast(model, torch.float32)
    scores = tuple(reference(model, tokenizer))
    for file in parent.iterdir():
        if (
            file.suffix in (".json", ".jinja")
            and not file.name.endswith(".index.json")
            and file.name != "manifest.json"
        ):
            shutil.copyfile(file, staging / file.name)
    staging.rename(target)
    return Merged(change / size, scores, refer(model, texts, its_parent, parent_id))


def _norm(tensor: "torch.Tensor") -> float:
    """Row by row, whose norms are added up in float64: float32 loses small ones among a billion others."""
    import torch

    rows = torch.linalg.vector_norm(torch.atleast_1d(tensor).float(), dim=-1)
    return float(torch.linalg.vector_norm(rows.double()))


def _cast(model: "PreTrainedModel", dtype: "torch.dtype") -> None:
    """Cast what a checkpoint holds, in place.

    `to` would round rotary frequencies as well, which no file has and no engine rounds: the scores were then
    those of another model.
    """
    held = model.state_dict().keys()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if name in held and tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype)
