"""A trained state becomes a model like its parent: adapters merged, same dtype, tokenizer and configs."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from configs.schema import Train

if TYPE_CHECKING:
    import torch


def save_merged(config: Train, state: dict[str, "torch.Tensor"], *, parent: Path, target: Path) -> float:
    """Write the challenger as its parent is written: same dtype, same tokenizer and configs, byte for byte.

    Returns the norm of the change of all weights over the norm of the weights before.
    """
    import torch
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    from transformers import AutoModelForCausalLM

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
