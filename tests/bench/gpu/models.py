"""Another version of a model, to be taken in its place."""

import shutil
from pathlib import Path

from tests.bench.gpu.work import Skipped

_FACTOR = 0.5
"""Halves every logit: answers stay sensible, and likelihoods differ clearly."""


def varied(model: Path, target: Path) -> Path:
    """A copy of a model whose last norm is scaled, in `target`. Raises Skipped where there is none."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, target)
    for file in sorted(target.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            kept = opened.metadata()
        weights = load_file(file)
        if "model.norm.weight" in weights:
            weights["model.norm.weight"] = weights["model.norm.weight"] * _FACTOR
            save_file(weights, file, kept)
            return target
    raise Skipped(f"{model} has no tensor model.norm.weight, by which another version of it is made")
