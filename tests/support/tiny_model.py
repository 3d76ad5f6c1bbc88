"""A random Llama of 3 million parameters with the embedded model's tokenizer: real parts, small numbers."""

import shutil
from pathlib import Path

from engine.disk.home import ratchet_home
from engine.models.base import fetch_embedded


def make_tiny_model(target: Path, seed: int = 0, spread: float = 0.02) -> Path:
    """Write it to `target`, the same weights for a seed.

    With the usual `spread` of weights its answers are all about as likely, and hang on the embedding alone.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=2048,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=True,
        initializer_range=spread,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(target)
    embedded = fetch_embedded(ratchet_home())
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(embedded / name, target / name)
    return target
