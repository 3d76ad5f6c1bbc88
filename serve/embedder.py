"""The embedding model of a server, in a process of its own on the CPU; `serve/embeddings.py` asks it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.serving import Embeddings
from engine.embeddings import PACKAGED, load
from engine.errors import Mistake

if TYPE_CHECKING:
    import numpy as np


class EmbeddingsError(Mistake):
    """The embedding model of the config cannot be served."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Some texts as vectors."""

    vectors: "np.ndarray"
    """An array of shape (texts, dimensions), in float32; each row has length 1."""
    num_tokens: int


@dataclass(frozen=True, slots=True)
class TooLong:
    """A text that the model would read only in part."""

    number: int
    num_tokens: int
    most: int


class Embedder:
    """The embedding model, as a replica of Ray Serve."""

    def __init__(self, model: str) -> None:
        self._model = load(model)
        # One at a time, also where a client has left: a thread cannot be stopped, what waits for it can.
        self._one = ThreadPoolExecutor(max_workers=1)

    async def embed(self, texts: list[str]) -> Embedded | TooLong:
        """Embed some texts, or tell the first that is too long for the model."""
        return await asyncio.get_running_loop().run_in_executor(self._one, self.embed_now, texts)

    def embed_now(self, texts: list[str]) -> Embedded | TooLong:
        """Embed texts as `embed` does, in the thread of the caller."""
        found = self._model.tokenizer(texts, verbose=False)["input_ids"]
        most = self._model.get_max_seq_length()
        for number, tokens in enumerate(found):
            if most is not None and len(tokens) > most:
                return TooLong(number, len(tokens), most)
        vectors = self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        return Embedded(vectors, sum(map(len, found)))


def check(settings: Embeddings | None) -> None:
    """Refuse a model that is not there. Raises EmbeddingsError."""
    if settings is None or settings.model == PACKAGED:
        return
    path = Path(settings.model)
    if not (path / "modules.json").is_file() or not any(path.rglob("*.safetensors")):
        raise EmbeddingsError(
            f"embeddings.model must be {PACKAGED} or the directory of a sentence-transformers model with "
            f"weights in safetensors, got {settings.model}"
        )


def bound_embedder(settings: Embeddings | None, threads: int) -> Any:
    """The deployment of the embedding model, for the gateway to be bound to; None without one."""
    from ray import serve

    if settings is None:
        return None
    environment = {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    options = {"num_cpus": 0, "runtime_env": {"env_vars": environment}}
    return serve.deployment(Embedder, name="Embedder", ray_actor_options=options).bind(settings.model)
