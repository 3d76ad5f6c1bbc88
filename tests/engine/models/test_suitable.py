"""Whether a model's rows can be packed: not where anything but attention goes from token to token."""

from pathlib import Path

import pytest

from engine.models import base
from engine.models.identity import ModelError
from engine.models.suitable import require_packable
from engine.plan.machine import Machine
from engine.plan.plan import make_plan
from tests.support.plans import config

pytestmark = pytest.mark.slow


def model_of(model_type: str, place: Path) -> Path:
    from transformers import AutoConfig

    # By default all layers of this one are of attention.
    settings = {"full_attn_idxs": [2]} if model_type == "lfm2" else {}
    AutoConfig.for_model(model_type, **settings).save_pretrained(place)
    return place


@pytest.mark.parametrize("model_type", ["llama", "mistral", "gemma3_text", "qwen3"])
def test_models_of_attention_alone_are_packed(model_type: str, tmp_path: Path) -> None:
    require_packable(model_of(model_type, tmp_path))


@pytest.mark.parametrize(
    ("model_type", "what"),
    [
        ("mamba", "layers of linear_attention"),
        ("jamba", "layers of linear_attention"),
        ("lfm2", "layers of conv"),
        ("recurrent_gemma", "what RecurrentGemmaForCausalLM computes"),
        ("bloom", "what BloomForCausalLM computes"),
    ],
)
def test_others_are_refused_in_one_sentence(model_type: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        require_packable(model_of(model_type, tmp_path))
    assert str(caught.value) == (
        f"packing must be false with {tmp_path}: {what} would mix rows that lie in one sequence; without it "
        "they are padded"
    )


def test_a_base_is_asked_only_where_rows_are_packed(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(base, "require_packable", asked.append)
    base.check_base(str(tiny_model), tmp_path, 512)
    assert not asked
    settings = config(
        "quickstart", f"base={tiny_model}", "sampler.max_model_len=512", "loop.train.packing=true"
    )
    assert settings.packs
    make_plan(settings, Machine(num_cpus=2, memory=None, disk=None, num_gpus=0, gpu=None), tmp_path)
    assert asked == [tiny_model]
