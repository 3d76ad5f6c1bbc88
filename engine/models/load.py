"""Opens a model in transformers, in one way wherever it is trained, merged or read.

Only GGUF files (`base.py`) and quantised bases (`quantised.py`) are opened in other ways.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def load_model(
    model: Path, dtype: "torch.dtype | Literal['auto']" = "auto", *, attention: str | None = None
) -> "PreTrainedModel":
    """The model in a directory: safetensors only, and no code of its own.

    `dtype` is the number type of its weights, ``auto`` the one that they are stored in. `attention` names
    the implementation of attention; None leaves it to transformers.
    """
    from transformers import AutoModelForCausalLM  # it takes seconds

    return AutoModelForCausalLM.from_pretrained(
        model, dtype=dtype, attn_implementation=attention, use_safetensors=True, trust_remote_code=False
    )
