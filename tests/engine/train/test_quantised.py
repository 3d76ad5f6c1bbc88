"""Adapters beside a base in 8 and 4 bit: trained by bitsandbytes on this CPU, merged into what is stored."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from engine.models.identity import ModelError
from engine.models.quantised import require_quantiser
from engine.plan.footprint import Shape, frozen_bytes
from engine.records import Challenger, TrainFailure
from engine.train import worker
from tests.support.train_helpers import OWN, SMALL, fit, in_this_process, training

pytestmark = pytest.mark.slow

by_bitsandbytes = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed: the extra `quantize`"
)
LORA = SMALL | {"tuning": "lora", "lora_rank": 4}
Fitted = tuple[Challenger | TrainFailure, list[dict[str, Any]]]


def losses(fitted: Fitted) -> list[float]:
    assert isinstance(fitted[0], Challenger), fitted[0]
    return [entry["loss"] for entry in fitted[1]]


@by_bitsandbytes
@pytest.mark.parametrize(
    ("quantize", "method"),
    [
        ("4bit", "sft"),
        ("8bit", "dpo"),
        pytest.param("8bit", "sft", marks=pytest.mark.soak),
        pytest.param("4bit", "dpo", marks=pytest.mark.soak),
    ],
)
def test_the_adapter_is_learnt_beside_the_quantised_base_and_merged_into_the_stored_one(
    exact_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quantize: str, method: str
) -> None:
    import torch
    from safetensors.torch import load_file

    kinds, merge = [], worker.save_merged

    def merged(config: Any, state: dict[str, torch.Tensor], **where: Path) -> dict[str, Any]:
        kinds.append({value.dtype for name, value in state.items() if "lora_" in name})
        kinds.append({value.dtype for name, value in state.items() if name.endswith("base_layer.weight")})
        return merge(config, state, **where)

    monkeypatch.setattr(worker, "save_merged", merged)
    own = OWN if method == "sft" else ()
    with in_this_process():
        plain, quantised = (
            fit(training(method=method, **LORA, quantize=each), exact_model, tmp_path / f"{each}", own)
            for each in (None, quantize)
        )
    assert losses(quantised) == pytest.approx(losses(plain), rel=0.05)
    assert losses(quantised) != losses(plain)
    assert kinds[2:] == [{torch.float32}, {torch.int8 if quantize == "8bit" else torch.uint8}]
    (outcome, _), parent = quantised, load_file(exact_model / "model.safetensors")
    assert isinstance(outcome, Challenger)
    model = load_file(Path(outcome.path) / "model.safetensors")
    assert model.keys() == parent.keys()
    for name, before in parent.items():
        change = model[name] - before
        if "proj" not in name:
            assert not change.any(), f"{name} is no adapter's"
            continue
        sizes = torch.linalg.svdvals(change)
        # What quantising changes of a matrix is of full rank.
        assert sizes[0] > 0 and sizes[4] < 1e-3 * sizes[0], f"{name} is not the parent's and 4 columns'"
    assert (Path(outcome.path) / "config.json").read_bytes() == (exact_model / "config.json").read_bytes()


@by_bitsandbytes
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
def test_validation_in_between_changes_nothing(
    exact_model: Path, tmp_path: Path, quantize: str, dtype: str
) -> None:
    """With weights of 4 bit, bitsandbytes would multiply them without a gradient from then on."""
    settings = LORA | {"validation_share": 0.2, "patience": 99, "quantize": quantize, "dtype": dtype}
    with in_this_process():
        often, never = (
            fit(
                training(method="sft", **settings, validation_steps=steps), exact_model, tmp_path / f"{steps}"
            )
            for steps in (1, 1000)
        )
    assert sum("validation_loss" in entry for entry in often[1]) > 3
    assert losses(often) == pytest.approx(losses(never), rel=1e-6)


@by_bitsandbytes
@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
def test_memory_of_the_base_is_as_planned(tmp_path: Path, quantize: str) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from engine.models.quantised import load_quantised

    config = LlamaConfig(
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=512,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(tmp_path)
    model = load_quantised(tmp_path, quantize, torch.bfloat16)
    held = sum(each.numel() * each.element_size() for each in model.parameters())
    planned = frozen_bytes(
        Shape.of(config.to_dict()), training(method="sft", tuning="lora", quantize=quantize)
    )
    assert held <= planned < 1.03 * held


def test_what_cannot_quantise_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(ModelError) as caught:
        require_quantiser("8bit")
    assert str(caught.value) == (
        "a base in 8bit needs bitsandbytes, which is not installed: `pip install '.[quantize]'` at "
        "the root of the repository installs it"
    )
    monkeypatch.setattr(metadata, "version", lambda _: "0.45.0")
    with pytest.raises(ModelError, match=r"4bit needs bitsandbytes 0\.46\.1 or later, got 0\.45\.0"):
        require_quantiser("4bit")


@by_bitsandbytes
def test_a_gpu_without_its_library_is_refused_and_a_cpu_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from bitsandbytes import cextension

    monkeypatch.setattr(
        cextension, "lib", cextension.ErrorHandlerMockBNBNativeLibrary("libcudart is missing")
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    require_quantiser("4bit")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ModelError, match="a base in 4bit cannot be had on this machine's GPU: .*libcudart"):
        require_quantiser("4bit")
