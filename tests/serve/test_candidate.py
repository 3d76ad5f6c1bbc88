"""Faults of a candidate that are found before an engine sees it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.models.identity import model_id
from engine.registry.registry import Registry
from serve.candidate import Unservable, check
from tests.support.registry import manifest
from tests.support.tiny_model import make_tiny_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("champion"), 0)


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    return make_tiny_model(tmp_path / "candidate", 1)


def stored(home: Path, *models: Path) -> list[str]:
    ids = [model_id(model) for model in models]
    for model, each in zip(models, ids, strict=True):
        Registry(home).add(model, manifest(each))
    return ids


def test_not_finite(tmp_path: Path, champion: Path, candidate: Path) -> None:
    weights = load_file(candidate / "model.safetensors")
    name = next(iter(weights))
    weights[name].view(-1)[3] = torch.nan
    save_file(weights, candidate / "model.safetensors", {"format": "pt"})
    there, new = stored(tmp_path / "home", champion, candidate)
    with pytest.raises(Unservable, match=f"its tensor {name} is not finite"):
        check(Registry(tmp_path / "home"), new, there)


def test_a_neighbour_whose_weights_were_freed_is_no_fault_of_the_candidate(
    tmp_path: Path, champion: Path, candidate: Path
) -> None:
    registry = Registry(tmp_path / "home")
    there, new = stored(tmp_path / "home", champion, candidate)
    check(registry, new, there)
    (registry.path(there) / "model.safetensors").unlink()
    check(registry, new, there)
    with pytest.raises(Unservable, match=f"model {there} .* weights were freed"):
        check(registry, there, new)


def test_another_base(tmp_path: Path, champion: Path, candidate: Path) -> None:
    weights = load_file(candidate / "model.safetensors")
    weights["another"] = torch.zeros(3)
    save_file(weights, candidate / "model.safetensors", {"format": "pt"})
    there, new = stored(tmp_path / "home", champion, candidate)
    with pytest.raises(Unservable, match=f"other shapes than those of {there}: it has another base"):
        check(Registry(tmp_path / "home"), new, there)


def test_another_config(tmp_path: Path, champion: Path, candidate: Path) -> None:
    config = json.loads((candidate / "config.json").read_text())
    (candidate / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    there, new = stored(tmp_path / "home", champion, candidate)
    with pytest.raises(Unservable, match=f"its config.json differs from that of {there}"):
        check(Registry(tmp_path / "home"), new, there)


def test_another_template(tmp_path: Path, champion: Path, candidate: Path) -> None:
    template = candidate / "chat_template.jinja"
    template.write_text(template.read_text() + "\n")
    there, new = stored(tmp_path / "home", champion, candidate)
    with pytest.raises(Unservable, match=f"its chat template differs from that of {there}"):
        check(Registry(tmp_path / "home"), new, there)


def test_truncated_or_gone(tmp_path: Path, champion: Path, candidate: Path) -> None:
    there, new = stored(tmp_path / "home", champion, candidate)
    registry = Registry(tmp_path / "home")
    weights = registry.path(new) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(Unservable, match="model.safetensors does not match the manifest"):
        check(registry, new, there)
    weights.unlink()
    with pytest.raises(Unservable, match=new):
        check(registry, new, there)
    for outside in ("../../etc", str(tmp_path), "none"):
        with pytest.raises(Unservable):
            check(registry, outside, there)
