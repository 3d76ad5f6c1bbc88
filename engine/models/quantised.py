"""A frozen base in 8 or 4 bit, beside which an adapter learns (bitsandbytes).

Only what trains sees these weights: `merge.py` merges the adapter into the base as it is stored, so that what
is judged and served was never quantised.
"""

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from engine.models.identity import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

LEAST = "0.46.1"
"""The oldest bitsandbytes that transformers takes."""


def require_quantiser(how: str) -> None:
    """Refuse a base in ``8bit`` or ``4bit`` where bitsandbytes is missing, too old or of no use here.

    Raises ModelError.
    """
    remedy = "`pip install '.[quantize]'` at the root of the repository installs it"
    try:
        version = metadata.version("bitsandbytes")
    except metadata.PackageNotFoundError:
        raise ModelError(f"a base in {how} needs bitsandbytes, which is not installed: {remedy}") from None
    if Version(version) < Version(LEAST):
        raise ModelError(f"a base in {how} needs bitsandbytes {LEAST} or later, got {version}: {remedy}")
    import torch
    from bitsandbytes.cextension import ErrorHandlerMockBNBNativeLibrary, lib

    # CPUs need none of its own library.
    if torch.cuda.is_available() and isinstance(lib, ErrorHandlerMockBNBNativeLibrary):
        reason = str(lib.error_msg).strip().splitlines()[0]
        raise ModelError(f"a base in {how} cannot be had on this machine's GPU: bitsandbytes says: {reason}")


def load_quantised(
    parent: Path, how: str, dtype: "torch.dtype", attention: str | None = None
) -> "PreTrainedModel":
    """The model in a directory, ready for an adapter: its linear layers but the head in ``8bit`` or ``4bit``.

    4 bit are nf4, whose constants are quantised too (QLoRA, Dettmers et al. 2023), with products in `dtype`.
    `attention` is an implementation by its name in transformers.
    """
    import torch
    from peft import prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    ways = {
        "8bit": {"load_in_8bit": True},
        "4bit": {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True,
            "bnb_4bit_compute_dtype": dtype,
        },
    }
    model = AutoModelForCausalLM.from_pretrained(
        parent,
        dtype=dtype,
        attn_implementation=attention,
        quantization_config=BitsAndBytesConfig(**ways[how]),
        device_map={"": torch.cuda.current_device() if torch.cuda.is_available() else "cpu"},
        use_safetensors=True,
        trust_remote_code=False,
    )
    for module in model.modules():
        # A validation would pack weights of 4 bit for a product of CPUs that has no gradient, and leave them
        # so: the training after it would be wrong without a word (bitsandbytes 0.50.2).
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    # Checkpointing is the trainer's.
    prepared: PreTrainedModel = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    return prepared
