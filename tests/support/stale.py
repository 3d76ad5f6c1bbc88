"""Real vLLM engines whose swaps go wrong when a test says so, and models that are near to each other.

The fault is that of the field: `take_weights` returns, and the engine still runs its old weights, all of them
or those of the later half of the layers.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import ray

from engine.models.nodes import ModelRef
from engine.sample.actor import SamplerActor
from engine.sample.group import SamplerGroup
from engine.sample.vllm_setup import TakesWeights
from serve.engine import Engine

FAULT = "RATCHET_TEST_FAULT"
"""Environment variable: the path of a file that says `all` or `half`. Where it is missing, swaps are true."""


class Faulty(TakesWeights):
    """Takes weights, or keeps the old ones."""

    WHERE = "tests.support.stale.Faulty"

    def take_weights(self, model: str) -> None:
        file = Path(os.environ[FAULT])
        fault = file.read_text() if file.exists() else ""
        if fault == "all":
            return
        if fault == "half":
            held = Path(self.vllm_config.model_config.model)  # type: ignore[attr-defined]  # the worker's own
            with tempfile.TemporaryDirectory() as folder:
                super().take_weights(str(mixed(held, Path(model), Path(folder) / "model")))
            return
        super().take_weights(model)


def mixed(old: Path, new: Path, target: Path) -> Path:
    """A model with the later half of the layers of `old`, and the rest of `new`."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(new, target)
    before, after = (load_file(model / "model.safetensors") for model in (old, new))
    layers = {name: int(found[1]) for name in after if (found := re.search(r"layers\.(\d+)\.", name))}
    half = (max(layers.values()) + 1) / 2
    after |= {name: before[name] for name, layer in layers.items() if layer >= half}
    save_file(after, target / "model.safetensors", {"format": "pt"})
    return target


def neighbour(model: Path, target: Path, size: float, seed: int) -> Path:
    """A model whose layers differ from those of another by `size`, in units of each tensor's own spread."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, target)
    draw, weights = torch.Generator().manual_seed(seed), load_file(model / "model.safetensors")
    for name, value in weights.items():
        if "layers." in name and value.ndim == 2:
            moved = torch.randn(value.shape, generator=draw) * size * value.float().std()
            weights[name] = (value.float() + moved).to(value.dtype)
    save_file(weights, target / "model.safetensors", {"format": "pt"})
    return target


class FaultyEngine(Engine):
    """A server's engine with a `Faulty` worker."""

    async def __init__(self, *arguments: Any) -> None:  # type: ignore[misc]  # Serve awaits it
        TakesWeights.WHERE = Faulty.WHERE
        await super().__init__(*arguments)


class _FaultyActor(SamplerActor.__ray_metadata__.modified_class):  # type: ignore[attr-defined,misc]
    def __init__(self, fault: Path, *arguments: Any) -> None:
        os.environ[FAULT], TakesWeights.WHERE = str(fault), Faulty.WHERE
        super().__init__(*arguments)


class FaultyGroup(SamplerGroup):
    """Samplers with `Faulty` workers, whose fault is in a file."""

    def __init__(self, fault: Path, *arguments: Any, **more: Any) -> None:
        self._fault, self.num_started = fault, 0
        super().__init__(*arguments, **more)

    def _start(self, ref: ModelRef) -> Any:
        self.num_started += 1
        options = ray.remote(_FaultyActor).options(num_cpus=0, resources={"sampler": 1})
        return options.remote(self._fault, self._config, ref, self._threads, self._sleeps, None)
