"""Candidates: what can be known of one before an engine sees it, and how one fails."""

import json
from pathlib import Path
from typing import Any

from engine.models.identity import ModelError, check_model, tensors
from engine.registry.registry import Registry, RegistryError


class Unservable(Exception):
    """A candidate that is refused, with the reason."""


class NotNow(Exception):
    """A candidate that could not be tried, through no fault of its own: it is tried again."""


def check(registry: Registry, version: str, beside: str | None) -> None:
    """Whether the engines that run `beside` can take a registered version in: that it is whole, of the same
    shapes, config and tokenizer, and finite. Raises Unservable.
    """
    import torch
    from safetensors import safe_open

    try:
        registry.verify(version)
        path = registry.path(version)
        check_model(path)
        there = _path(registry, beside)
        if there:
            if _shapes(path) != _shapes(there):
                raise Unservable(f"its tensors are not of the shapes of {beside}: it has another base")
            for name in ("config.json", "tokenizer.json"):
                if (path / name).exists() and _content(path / name) != _content(there / name):
                    raise Unservable(f"its {name} is not that of {beside}")
        for file in sorted(path.glob("*.safetensors")):
            with safe_open(file, "pt") as weights:
                for name in weights.keys():  # noqa: SIM118  not a mapping
                    if not torch.isfinite(weights.get_tensor(name)).all():
                        raise Unservable(f"{name} is not finite")
    except (RegistryError, ModelError) as error:
        raise Unservable(str(error)) from None


def _path(registry: Registry, version: str | None) -> Path | None:
    try:
        return registry.path(version) if version else None
    except RegistryError:
        # Its weights were freed: that is no fault of the candidate.
        return None


def _shapes(path: Path) -> dict[str, tuple[str, Any]]:
    return {tensor.name: (tensor.dtype, tensor.shape) for tensor in tensors(path)}


def _content(path: Path) -> Any:
    content = json.loads(path.read_bytes())
    for key in ("transformers_version", "_name_or_path"):
        content.pop(key, None)
    return content
