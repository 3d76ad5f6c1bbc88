"""What lies beside a model: trainer and engine find the same weights, and no code of the model's is run."""

import shutil
from pathlib import Path

import pytest

from engine.models.base import resolve_base
from engine.models.identity import ModelError, model_id, weight_files
from engine.models.view import view_of
from engine.registry.locate import model_dir_of
from engine.registry.registry import Registry
from tests.support.model_dirs import (
    SHARDED,
    extra_weights,
    in_shards,
    set_keys,
    sound_model,
    with_code,
)
from tests.support.registry import manifest
from tests.support.tiny_model import make_tiny_model


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def crowded(model: Path) -> Path:
    """A model in shards, with what public directories have besides."""
    in_shards(model)
    for name in ("model.safetensors", "consolidated.safetensors", "adapter_model.safetensors"):
        extra_weights(model, name)
    for name in (".gitattributes", "LICENSE", "modeling_own.py", "pytorch_model.bin", "params.json"):
        (model / name).write_text("{}")
    (model / "original").mkdir()
    (model / "original" / "consolidated.safetensors").write_bytes(b"")
    return model


def test_a_directory_that_is_only_a_model_is_used_as_it_is(tmp_path: Path) -> None:
    model = sound_model(tmp_path / "m")
    assert view_of(model, tmp_path / "home") == model and not (tmp_path / "home").exists()


def test_the_index_decides_and_nothing_else_is_seen(tmp_path: Path) -> None:
    clean = sound_model(tmp_path / "clean")
    in_shards(clean)
    model, home = crowded(sound_model(tmp_path / "m")), tmp_path / "home"
    view = resolve_base(str(model), home)
    assert names(view) == names(clean) and view.is_relative_to(home)
    assert model_id(view) == model_id(model) == model_id(clean)
    # The directory of a model on the command line is the same one.
    assert model_dir_of(home, str(model)) == view
    before = view.stat().st_ino
    (model / "NOTES").write_text("later")
    assert resolve_base(str(model), home) == view and view.stat().st_ino == before
    # The registry keeps copies of the files, and would refuse the others.
    kept = Registry(home).add(view, manifest("m0"))
    assert model_id(kept) == model_id(model) and not any(path.is_symlink() for path in kept.iterdir())


def test_a_fault_is_told_of_the_directory_that_was_named(tmp_path: Path) -> None:
    model, home = crowded(sound_model(tmp_path / "m")), tmp_path / "home"
    set_keys(model / "tokenizer_config.json", eos_token=None)
    for call in (lambda: resolve_base(str(model), home), lambda: model_dir_of(home, str(model))):
        with pytest.raises(ModelError) as caught:
            call()
        assert str(caught.value).startswith(str(model / "tokenizer_config.json"))
    assert not home.exists()


def test_what_is_no_model_is_left_for_the_check(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "notes.txt").write_text("no model")
    assert view_of(tmp_path / "m", tmp_path / "home") == tmp_path / "m"
    assert view_of(tmp_path / "none", tmp_path / "home") == tmp_path / "none"


@pytest.mark.slow
def test_transformers_and_vllm_load_the_shards(tiny_model: Path, tmp_path: Path) -> None:
    """Both real: left to themselves one takes the whole model, and the other the consolidated one."""
    import torch
    from transformers import AutoModelForCausalLM
    from vllm.config.load import LoadConfig
    from vllm.model_executor.model_loader.default_loader import DefaultModelLoader

    model, other = tmp_path / "m", make_tiny_model(tmp_path / "other", 1)
    wanted = AutoModelForCausalLM.from_pretrained(tiny_model)
    wanted.save_pretrained(model, max_shard_size="2MB")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(tiny_model / name, model / name)
    assert (model / SHARDED).exists()
    for name in ("model.safetensors", "consolidated.safetensors"):
        shutil.copyfile(other / "model.safetensors", model / name)

    def loaded(folder: Path) -> bool:
        found = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True).state_dict()
        return all(torch.equal(found[name], value) for name, value in wanted.state_dict().items())

    def read(folder: Path) -> list[str]:
        loader = DefaultModelLoader(LoadConfig())
        _, files, _, _ = loader._prepare_weights(str(folder), None, None, False, None)
        return sorted(files)

    assert not loaded(model) and read(model) == [str(model / "consolidated.safetensors")]
    view = resolve_base(str(model), tmp_path / "home")
    assert loaded(view) and read(view) == [str(path) for path in weight_files(view)]


def test_code_of_a_models_own_is_never_run(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from engine.models.prompts import tokenizer_of

    model, marker = tmp_path / "m", tmp_path / "it was run"
    shutil.copytree(tiny_model, model)
    with_code(model, marker)
    for folder in (model, resolve_base(str(model), tmp_path / "home")):
        assert tokenizer_of(folder).eos_token_id == 2
        AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, trust_remote_code=False)
    assert not marker.exists()
    assert not list((tmp_path / "home").rglob("*.py"))
