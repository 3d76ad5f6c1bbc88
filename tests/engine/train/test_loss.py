"""The loss of SFT against TRL's and against its definition: on which tokens, and with which weight."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def row(ids: list[int], learnt_from: int, *, hold: bool = False, weight: float = 1.0) -> dict[str, Any]:
    """An example as the trainer takes it."""
    labels = [-100] * learnt_from + ids[learnt_from:]
    return {"input_ids": ids, "labels": labels, "hold": hold, "weight": weight}


def trainer_of(cls: Any, model: Any, rows: list[dict[str, Any]], scratch: Path, **options: Any) -> Any:
    """A trainer that is asked for losses only."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig

    return cls(
        model,
        args=SFTConfig(
            output_dir=str(scratch),
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to="none",
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(model.config.name_or_path),
        **options,
    )


def test_the_loss_is_that_of_trl(tiny_model: Path, tmp_path: Path) -> None:
    """Ours computes logits only where there is a loss; losses and gradients are those of TRL."""
    import torch
    from transformers import AutoModelForCausalLM
    from trl import SFTTrainer

    from engine.train.loss import HoldingSFTTrainer

    rows = [row([5, 6, 7, 8, 9][:n], 2) for n in (5, 4, 3)]
    found = []
    for cls in (SFTTrainer, HoldingSFTTrainer):
        model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
        trainer = trainer_of(cls, model, rows, tmp_path)
        batch = trainer.data_collator(rows)
        loss = trainer.compute_loss(trainer.model, batch, num_items_in_batch=torch.tensor(10))
        loss.backward()
        found.append((loss.detach(), [p.grad.clone() for p in trainer.model.parameters()]))
    (theirs, their_gradients), (ours, our_gradients) = found
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    for their, our in zip(their_gradients, our_gradients, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("tuning", ["full", "lora"])
@pytest.mark.parametrize("kept", [True, False])
def test_what_rows_begin_with_alike_is_computed_once(
    tiny_model: Path, tmp_path: Path, tuning: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses and gradients are those of padded rows, each by itself, with fewer tokens in the model.

    So they are where rows are too long for their attention to be kept until the backward pass.
    """
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM

    from engine.train import attention
    from engine.train.loss import HoldingSFTTrainer

    if not kept:
        monkeypatch.setattr(attention, "EAGER_LENGTH", 30)
    system = list(range(100, 166))
    first, second, third = ([*system, *range(begin, 90)] for begin in (5, 10, 20))
    proofs = [[*first, 3, 4, 5], [*first, 3, 9], [*second, 3, 7], [*third, 8, 4], [*third, 7, 3, 3, 4]]
    rows = [row(ids, len(ids) - 2) for ids in proofs] + [
        row([*system, 9, 7, 8], 1, hold=True),
        row([*system[:40], 5], 1, hold=True, weight=2.0),
        row([4, 4, 4], 1, hold=True),
        row([4, 4, 4], 2, weight=0.5),
    ]
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32, attn_implementation="eager")
    lora = LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM") if tuning == "lora" else None
    trainer = trainer_of(HoldingSFTTrainer, model, rows, tmp_path, peft_config=lora)
    trainer.remember_parent([each["input_ids"] for each in rows if each["hold"]])
    learning = [p for p in trainer.model.parameters() if p.requires_grad]
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in learning:  # adapters begin at zero, where half of them have no gradient
            parameter.add_(0.05 * torch.randn_like(parameter))
    computed = 0

    def count(_: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        nonlocal computed
        computed += inputs[0].numel()

    model.get_input_embeddings().register_forward_pre_hook(count)
    found = []
    assert trainer._is_tree
    for is_tree in (True, False):
        trainer._is_tree = is_tree
        if not is_tree:
            model.set_attn_implementation("eager")
        computed = 0
        model.zero_grad()
        batch = trainer.data_collator(rows)
        loss = trainer.compute_loss(trainer.model, batch, num_items_in_batch=torch.tensor(10))
        loss.backward()
        found.append((computed, loss.detach(), [p.grad.clone() for p in learning]))
    (fewer, together, same_gradients), (whole, apart, gradients) = found
    # The system message once; what follows it in each story, in two rows with a token of the answer;
    # answers; the other rows to hold; the last two.
    assert fewer == 66 + (86 + 80 + 70) + (2 + 1 + 2 + 2 + 4) + (3 + 1) + 3
    assert whole == 6 * 154 + 3 * 69
    assert together.item() == pytest.approx(apart.item(), rel=1e-5)
    for alone, shared in zip(gradients, same_gradients, strict=True):
        torch.testing.assert_close(shared, alone, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("window", [None, 6])
def test_packed_rows_have_the_losses_of_rows_by_themselves(
    tiny_model: Path, tmp_path: Path, attention: str, window: int | None
) -> None:
    """Losses and gradients are those of padded rows, with no token more than the rows have, and none attends
    to another, also where layers look back a few tokens only."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, MistralConfig

    from engine.train.loss import HoldingSFTTrainer

    rows = [row(list(range(first, first + num)), from_) for first, num, from_ in PACKED] + [
        row([9, 7, 8, 30], 1, hold=True),
        row([40, 5], 1, hold=True, weight=2.0),
    ]
    sizes = AutoConfig.from_pretrained(tiny_model)
    shape = {name: getattr(sizes, name) for name in ("hidden_size", "intermediate_size", "vocab_size")}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        MistralConfig(
            **shape, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, sliding_window=window
        )
    )
    model.config.name_or_path = str(tiny_model)
    with torch.no_grad():
        for parameter in model.parameters():  # small weights would hide who attends to whom
            parameter.add_(0.1 * torch.randn_like(parameter))
    trainer = trainer_of(HoldingSFTTrainer, model, rows, tmp_path, packing=True)
    trainer.remember_parent([each["input_ids"] for each in rows if each["hold"]])
    trainer._is_tree = False
    model.set_attn_implementation(attention)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    computed: list[tuple[int, ...]] = []
    model.get_input_embeddings().register_forward_pre_hook(lambda _, ids: computed.append(ids[0].shape))
    found = []
    for packs in (True, False):
        trainer._is_packed = packs
        model.zero_grad()
        batch = trainer.data_collator([{"rows": rows}])
        loss = trainer.compute_loss(trainer.model, batch, num_items_in_batch=torch.tensor(10))
        loss.backward()
        found.append((loss.item(), [p.grad.clone() for p in model.parameters()]))
    assert computed == [(1, 2 + 24 + 3 + 9 + 4 + 2), (4, 24), (2, 4)], "one pack, and the two roles padded"
    (together, same_gradients), (apart, gradients) = found
    assert together == pytest.approx(apart, rel=1e-5)
    for alone, shared in zip(gradients, same_gradients, strict=True):
        torch.testing.assert_close(shared, alone, rtol=1e-3, atol=1e-5)


PACKED = [(5, 2, 1), (10, 24, 20), (50, 3, 1), (60, 9, 4)]
"""First token, tokens, and first one that is learnt, of rows to learn."""


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_in_bf16_gradients_are_near_those_in_fp32(tiny_model: Path, tmp_path: Path, tuning: str) -> None:
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM

    from engine.train.layers import speed_up
    from engine.train.loss import HoldingSFTTrainer

    story = list(range(100, 180))
    rows = [row([*story, *ids], 80) for ids in ([3, 4, 5], [9, 9, 7])] + [row([9, 8, 7, 5], 1, hold=True)]
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        stored = dtype if tuning == "lora" else torch.float32
        model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=stored)
        lora = LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM") if tuning == "lora" else None
        trainer = trainer_of(HoldingSFTTrainer, model, rows, tmp_path, peft_config=lora)
        trainer.remember_parent([[9, 8, 7, 5]])
        speed_up(trainer.model)
        learning = [p for p in trainer.model.parameters() if p.requires_grad]
        assert {p.dtype for p in learning} == {torch.float32}
        torch.manual_seed(0)
        with torch.no_grad():
            for parameter in learning:
                parameter.add_(0.05 * torch.randn_like(parameter))
        with torch.autocast("cpu", dtype, enabled=dtype is torch.bfloat16):
            loss = trainer.compute_loss(trainer.model, trainer.data_collator(rows), num_items_in_batch=9)
        loss.backward()
        found.append((loss.item(), torch.cat([p.grad.flatten() for p in learning])))
    (loss, gradient), (rounded, near) = found
    assert rounded == pytest.approx(loss, rel=0.02)
    assert torch.nn.functional.cosine_similarity(gradient, near, dim=0) > 0.99


def test_attention_that_does_more_than_look_back_is_left_as_it_is(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from engine.train.attention import can_be_tree

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    assert can_be_tree(model)
    model.config.layer_types = ["full_attention", "sliding_attention"]
    assert not can_be_tree(model)
    model.config.layer_types = None
    for name in ("sliding_window", "attention_dropout", "attn_logit_softcapping"):
        setattr(model.config, name, 0.5)
        assert not can_be_tree(model)
        setattr(model.config, name, None)
    assert can_be_tree(model)


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_rehearsal_is_the_distance_to_the_parent(tiny_model: Path, tmp_path: Path, tuning: str) -> None:
    """It is 0, like its gradient, while the model is its parent; then it is KL(parent || model)."""
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM

    from engine.train.loss import HoldingSFTTrainer
    from engine.train.tree import Tree

    proof, own = row([5, 6, 7, 8, 9, 4], 2), row([9, 8, 7], 1, hold=True)
    parent = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    lora = LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM") if tuning == "lora" else None
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    trainer = trainer_of(HoldingSFTTrainer, model, [proof, own], tmp_path, peft_config=lora)
    trainer.remember_parent([own["input_ids"]])
    learning = [p for p in trainer.model.parameters() if p.requires_grad]

    def loss_of(*rows: dict[str, Any]) -> torch.Tensor:
        return trainer.compute_loss(trainer.model, trainer.data_collator(rows), num_items_in_batch=2)

    assert loss_of(own).item() == pytest.approx(0, abs=1e-6)
    loss_of(own).backward()
    assert max(float(p.grad.abs().max()) for p in learning if p.grad is not None) < 1e-6
    with torch.no_grad():
        for parameter in learning:
            parameter.add_(0.05 * torch.randn_like(parameter))
        old = parent(torch.tensor([own["input_ids"]])).logits[0, :-1].log_softmax(-1)
        new = trainer.model(**Tree.of([own["input_ids"]]).inputs).logits[0, :-1].log_softmax(-1)
        expected = (old.exp() * (old - new)).sum().item() / 2
    assert expected > 1e-4
    assert loss_of(own).item() == pytest.approx(expected, rel=1e-3)
    assert loss_of(proof, own).item() == pytest.approx(loss_of(proof).item() + expected, rel=1e-3)


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_weights_multiply_the_gradients_of_their_rows(tiny_model: Path, tmp_path: Path, tuning: str) -> None:
    """Rows that share a beginning, a row by itself and rows to hold, in any order.

    Each row's gradient is that of the mean over its own tokens, times their number and its weight; the sum is
    divided by the labelled tokens of the whole step, whatever the weights.
    """
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM

    from engine.train.loss import HoldingSFTTrainer

    story = list(range(100, 180))
    rows = [
        row([9, 8, 7, 5], 1, hold=True, weight=3.0),
        row([*story, 3, 4, 5], 80, weight=0.3),
        row([*story, 3, 9, 9, 7], 80, weight=-2.0),
        row([5, 6, 7, 8, 9, 4], 2, weight=1.7),
        row([4, 4], 1, hold=True, weight=0.0),
        row([8, 6, 7], 2),
    ]
    counts = [3, 3, 4, 4, 1, 1]
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    lora = LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM") if tuning == "lora" else None
    trainer = trainer_of(HoldingSFTTrainer, model, rows, tmp_path, peft_config=lora)
    trainer.remember_parent([each["input_ids"] for each in rows if each["hold"]])
    learning = [p for p in trainer.model.parameters() if p.requires_grad]
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in learning:
            parameter.add_(0.05 * torch.randn_like(parameter))

    def gradients(batch: list[dict[str, Any]], num_items: int | None) -> list[torch.Tensor]:
        trainer.model.zero_grad()
        trainer.compute_loss(
            trainer.model, trainer.data_collator(batch), num_items_in_batch=num_items
        ).backward()
        return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in learning]

    total = [torch.zeros_like(p) for p in learning]
    for each, count in zip(rows, counts, strict=True):
        for sum_, gradient in zip(total, gradients([each | {"weight": 1.0}], None), strict=True):
            sum_.add_(gradient, alpha=each["weight"] * count / sum(counts))
    assert max(float(gradient.abs().max()) for gradient in total) > 1e-3
    for expected, found in zip(total, gradients(rows, sum(counts)), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_deepspeed_does_not_round_weights(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It casts every floating point input to the dtype of the training, and bf16 has no 0.3."""
    import torch
    from transformers import AutoModelForCausalLM, Trainer

    from engine.train.loss import HoldingSFTTrainer

    rows = [row([5, 6, 7], 2, weight=0.3)]
    trainer = trainer_of(HoldingSFTTrainer, AutoModelForCausalLM.from_pretrained(tiny_model), rows, tmp_path)

    def cast(_: Trainer, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {
            name: value.bfloat16() if value.is_floating_point() else value for name, value in inputs.items()
        }

    monkeypatch.setattr(Trainer, "_prepare_input", cast)
    prepared = trainer._prepare_inputs(trainer.data_collator(rows))
    assert prepared["weight"].tolist() == torch.tensor([0.3]).tolist()
    assert prepared["weight"].dtype == torch.float32
