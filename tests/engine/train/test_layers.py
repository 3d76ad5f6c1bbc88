"""LoRA layers and norms of ours against those of PEFT and transformers."""

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.support.train_helpers import SMALL, UNLIKE, fit, in_this_process, training

pytestmark = pytest.mark.slow


def found(model: Any, *, bf16: bool = False) -> tuple[Any, list[Any]]:
    """Logits of some tokens, and the gradients of what learns; a training in `bf16` computes so."""
    import torch

    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(input_ids=torch.tensor([[5, 6, 7, 8], [9, 8, 7, 6]]), use_cache=False).logits
    (logits * torch.linspace(-1, 1, logits.numel()).view_as(logits)).sum().backward()
    return logits.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


def tuned(tiny_model: Path, tuning: str, dtype: str = "float32", **options: Any) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=dtype)
    if tuning == "lora":
        model = get_peft_model(model, LoraConfig(r=4, lora_alpha=12, target_modules="all-linear", **options))
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model.train()


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_outputs_and_gradients_are_the_same(tiny_model: Path, tuning: str) -> None:
    import torch

    from engine.train.layers import speed_up

    model = tuned(tiny_model, tuning)
    logits, gradients = found(model)
    speed_up(model)
    replaced = sum("forward" in module.__dict__ for module in model.modules())
    num_layers = model.config.num_hidden_layers
    assert replaced == 2 * num_layers + 1 + (7 * num_layers if tuning == "lora" else 0)
    faster, same = found(model)
    torch.testing.assert_close(faster, logits, rtol=1e-4, atol=1e-5)
    assert len(same) == len(gradients) and gradients
    for ours, theirs in zip(same, gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    if tuning == "lora":
        with model.disable_adapter():
            plain = model(input_ids=torch.tensor([[5, 6, 7, 8], [9, 8, 7, 6]])).logits
        assert not torch.allclose(plain, logits, atol=1e-3)
        torch.testing.assert_close(plain, tuned_off(model), rtol=1e-4, atol=1e-5)


def tuned_off(model: Any) -> Any:
    """The logits of the base model."""
    import torch

    base = copy.deepcopy(model).unload()
    return base(input_ids=torch.tensor([[5, 6, 7, 8], [9, 8, 7, 6]])).logits


def test_outputs_and_gradients_in_bfloat16_are_those_of_peft(tiny_model: Path) -> None:
    """Adapters in fp32 beside a frozen base in bf16: what differs is where it is rounded."""
    import torch

    from engine.train.layers import speed_up

    def apart(ours: Any, theirs: Any) -> float:
        return float((ours.float() - theirs.float()).norm() / theirs.float().norm())

    model = tuned(tiny_model, "lora", "bfloat16")
    learning = {parameter.dtype for parameter in model.parameters() if parameter.requires_grad}
    assert learning == {torch.float32} and model.lm_head.weight.dtype == torch.bfloat16
    logits, gradients = found(model, bf16=True)
    speed_up(model)
    faster, same = found(model, bf16=True)
    assert 0 < apart(faster, logits) < 0.02
    assert len(same) == len(gradients) and {each.dtype for each in same} == {torch.float32}
    assert max(apart(ours, theirs) for ours, theirs in zip(same, gradients, strict=True)) < 0.05


def test_a_training_in_bfloat16_has_the_losses_of_pefts(
    exact_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = training(method="sft", tuning="lora", **(SMALL | {"dtype": "bfloat16"}))
    with in_this_process():
        _, ours = fit(config, exact_model, tmp_path / "ours", rows=UNLIKE)
        monkeypatch.setattr("engine.train.layers.speed_up", lambda _: None)
        _, theirs = fit(config, exact_model, tmp_path / "theirs", rows=UNLIKE)
    assert len(ours) == 8 and ours[-1]["loss"] < ours[0]["loss"]
    losses, others = ([entry["loss"] for entry in metrics] for metrics in (ours, theirs))
    assert losses == pytest.approx(others, rel=0.01)


@pytest.mark.parametrize("options", [{"lora_dropout": 0.1}, {"use_dora": True}, {"lora_bias": True}])
def test_adapters_of_another_form_keep_their_own_way(tiny_model: Path, options: dict[str, Any]) -> None:
    from peft.tuners.lora import Linear

    from engine.train.layers import speed_up

    model = tuned(tiny_model, "lora", **options)
    speed_up(model)
    assert not any("forward" in module.__dict__ for module in model.modules() if isinstance(module, Linear))


def test_norms_that_compute_something_else_keep_their_own_way() -> None:
    import torch

    from engine.train.layers import speed_up

    class ShiftedRMSNorm(torch.nn.Module):
        """As Gemma's: the weight counts from one."""

        def __init__(self) -> None:
            super().__init__()
            self.weight, self.variance_epsilon = torch.nn.Parameter(torch.zeros(8)), 1e-6

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            scale = torch.rsqrt(rows.square().mean(-1, keepdim=True) + self.variance_epsilon)
            return rows * scale * (1 + self.weight)

    norm = ShiftedRMSNorm()
    speed_up(norm)
    assert "forward" not in norm.__dict__
