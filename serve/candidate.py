"""Checks of a candidate that need no engine, and the two ways in which a candidate can fail."""

import json
from pathlib import Path
from typing import Any

from engine.models.check import check_model
from engine.models.identity import ModelError, tensors
from engine.models.templates import template_of
from engine.registry.registry import Registry
from engine.registry.store import RegistryError


class Unservable(Exception):
    """The candidate is refused; the message is the reason."""


class NotNow(Exception):
    """The candidate could not be tested, through no fault of its own, and will be tried again."""

    def __init__(self, message: str, *, is_lost: bool = False) -> None:
        """`is_lost` is whether the engine was lost while it took the candidate, which may be why."""
        super().__init__(message)
        self.is_lost = is_lost


def check(registry: Registry, version: str, beside: str | None) -> None:
    """Check that engines which run the version `beside` can load a registered version in its place.

    It must be complete and finite, with the same shapes, config, tokenizer and chat template.
    Raises Unservable.
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
                raise Unservable(f"its tensors have other shapes than those of {beside}: it has another base")
            for name in ("config.json", "tokenizer.json"):
                if (path / name).exists() and _content(path / name) != _content(there / name):
                    raise Unservable(f"its {name} differs from that of {beside}")
            if _template(path) != _template(there):
                raise Unservable(f"its chat template differs from that of {beside}")
        for file in sorted(path.glob("*.safetensors")):
            with safe_open(file, "pt") as weights:
                for name in weights.keys():  # noqa: SIM118  not a mapping
                    if not torch.isfinite(weights.get_tensor(name)).all():
                        raise Unservable(f"its tensor {name} is not finite")
    except (RegistryError, ModelError) as error:
        raise Unservable(str(error)) from None


def _path(registry: Registry, version: str | None) -> Path | None:
    try:
        return registry.path(version) if version else None
    except RegistryError:
        # The weights of the other version were freed, which is no fault of the candidate.
        return None


def _shapes(path: Path) -> dict[str, tuple[str, Any]]:
    return {tensor.name: (tensor.dtype, tensor.shape) for tensor in tensors(path)}


def _template(path: Path) -> str | None:
    template = template_of(path)
    return template and template.text


def _content(path: Path) -> Any:
    content = json.loads(path.read_bytes())
    for key in ("transformers_version", "_name_or_path"):
        content.pop(key, None)
    return content
