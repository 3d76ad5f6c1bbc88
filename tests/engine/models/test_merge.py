"""A challenger has the form of its parent, also where transformers would not save the parent's configs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.models.identity import model_id
from engine.models.load import load_model
from engine.models.merge import save_merged
from engine.models.reference import computed
from engine.records import Challenger
from tests.support.model_dirs import copy_of
from tests.support.train_helpers import SMALL, fit, in_this_process, training

pytestmark = pytest.mark.slow

REFUSED = {"do_sample": False, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [2, 0]}


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_a_generation_config_that_transformers_refuses_to_save_is_copied(
    tiny_model: Path, tmp_path: Path, tuning: str
) -> None:
    from transformers import GenerationConfig

    parent = copy_of(tiny_model, tmp_path / "parent")
    (parent / "generation_config.json").write_text(json.dumps(REFUSED))
    with pytest.raises(ValueError, match="temperature"):
        GenerationConfig.from_pretrained(parent).save_pretrained(tmp_path / "refused")
    # Checkpoints are saved on the way as well.
    config = training(method="sft", tuning=tuning, save_steps=2, **SMALL)
    with in_this_process():
        outcome, metrics = fit(config, parent, tmp_path / "out")
    assert isinstance(outcome, Challenger) and len(metrics) == outcome.num_steps == 8
    made = Path(outcome.path)
    assert json.loads((made / "generation_config.json").read_text()) == REFUSED
    assert outcome.model_id == model_id(made)


def test_a_parent_without_a_generation_config_has_challengers_without_one(
    tiny_model: Path, tmp_path: Path
) -> None:
    parent = copy_of(tiny_model, tmp_path / "parent")
    (parent / "generation_config.json").unlink()
    with in_this_process():
        outcome, _ = fit(training(method="sft", **(SMALL | {"epochs": 1})), parent, tmp_path / "out")
    assert isinstance(outcome, Challenger)
    assert not (Path(outcome.path) / "generation_config.json").exists()


def test_the_reference_is_of_what_was_saved(tiny_model: Path, tmp_path: Path) -> None:
    """Rounding the weights must not round rotary frequencies, which engines compute anew."""
    import torch

    state = {name: value + 0.01 for name, value in load_model(tiny_model, torch.float32).state_dict().items()}
    config = training(method="sft", tuning="full", **SMALL)
    merged = save_merged(config, state, parent=tiny_model, parent_id="p", target=tmp_path / "model")
    saved = computed(tmp_path / "model")
    assert saved and saved.texts == tuple(replace(text, before=()) for text in merged.reference.texts)
