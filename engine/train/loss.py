"""What SFT minimizes: the loss on answers, and on rows to hold the distance to the parent.

Only workers import this file.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, PreTrainedModel
from transformers.integrations import is_deepspeed_zero3_enabled
from trl import SFTTrainer

_LEAST_SHARED = 64
"""Tokens that rows must begin with alike for these to be computed once."""
Batch = dict[str, torch.Tensor]


class HoldingSFTTrainer(SFTTrainer):
    """TRL's SFTTrainer with rows to hold, row weights, and less to compute.

    Each example has the columns ``input_ids``, ``labels``, ``hold`` and ``weight``. A row's summed loss is
    multiplied by its weight, while the divisor stays the number of labelled tokens of the whole step: a
    weight w scales the row's gradient by exactly w.

    On a row to `hold`, the divergence of the parent's next token from the model's, KL(parent || model), is
    minimized at every position (learning without forgetting, Li and Hoiem 2016). Its gradient is zero as long
    as the model predicts what the parent predicts; that of the text's cross-entropy is zero only on average.
    With as many such rows the embedded model was 0.027 nats a token from its base on other text of that kind,
    instead of 0.106.

    Logits are computed only where there is a loss. TRL's own fused loss does that on a GPU; on a CPU it
    computes those of prompt and padding too, twice, and multiplies in fp32. Nothing is computed on the
    padding that short rows would get beside long ones of the other role, and what neighbouring rows begin
    with alike, as the prompts of one story do, is computed once (`_runs`).
    """

    parent: PreTrainedModel | None = None
    """The frozen parent of full tuning; under LoRA the adapters are switched off instead."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._collate_ids: Any = self.data_collator  # type: ignore[has-type]
        self.data_collator = self._collate

    def _collate(self, examples: Sequence[dict[str, Any]]) -> Batch:
        batch: Batch = self._collate_ids(examples)
        for column, dtype in (("hold", torch.bool), ("weight", torch.float32)):
            batch[column] = torch.tensor([example[column] for example in examples], dtype=dtype)
        return batch

    def _prepare_inputs(self, inputs):  # type: ignore[no-untyped-def]
        prepared = super()._prepare_inputs(inputs)
        # DeepSpeed casts floating point inputs to the dtype of the training, which would round the weights.
        return {**prepared, "weight": inputs["weight"].to(self.args.device)}

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):  # type: ignore[no-untyped-def]
        inputs = dict(inputs)
        hold, labels = inputs.pop("hold"), inputs["labels"]
        loss = labels.new_zeros((), dtype=torch.float32)
        # Each role by itself: rows to hold are short, and would be padded to the length of proofs.
        if not hold.all():
            rows = _part(inputs, ~hold)
            runs = _runs(rows, self._least_shared)
            if alone := [run.rows[0] for run in runs if not run.shared]:
                loss = loss + self._learnt(model, _part(rows, alone))
            if alike := [run for run in runs if run.shared]:
                loss = loss + self._learnt_alike(model, rows, alike)
        if hold.any():
            loss = loss + self._held(model, _part(inputs, hold))
        if num_items_in_batch is None:
            # Validation: a batch by itself.
            return loss / (labels[:, 1:] != -100).sum()
        # The number is the whole step's; gradients are averaged over workers.
        return loss / num_items_in_batch * self.accelerator.num_processes

    @cached_property
    def _least_shared(self) -> float:
        """Tokens that are worth a call of their own.

        With gradient checkpointing no keys and values are kept, and where weights are sharded, all workers
        must make the same number of calls: nothing is shared there.
        """
        full = set(getattr(self.model.config, "layer_types", None) or ()) <= {"full_attention"}
        shares = full and not self.args.gradient_checkpointing and not is_deepspeed_zero3_enabled()
        return _LEAST_SHARED if shares else math.inf

    def _learnt(self, model: Any, rows: Batch) -> torch.Tensor:
        following, weight = rows.pop("labels")[:, 1:], rows.pop("weight")
        logits = self._logits(model, rows | {"use_cache": False}, following != -100)
        return _cross_entropy(logits, following, weight)

    def _learnt_alike(self, model: Any, rows: Batch, runs: "list[_Run]") -> torch.Tensor:
        """As `_learnt`, with the keys and values of each run's beginning computed once for all its rows."""
        ids, labels, lengths = rows["input_ids"], rows["labels"], rows["attention_mask"].sum(1)
        rests = [(row, slice(run.shared, int(lengths[row]))) for run in runs for row in run.rows]
        begin = _padded([ids[run.rows[0], : run.shared] for run in runs])
        cache = DynamicCache()
        held = {"past_key_values": cache, "use_cache": True}
        self._logits(model, begin | held, begin["attention_mask"][:, 1:] < 0)
        run_of = ids.new_tensor([i for i, run in enumerate(runs) for _ in run.rows])
        cache.batch_select_indices(run_of)
        begun = begin["attention_mask"][run_of]
        rest = _padded([ids[row, place] for row, place in rests])
        rest["position_ids"] = begun.sum(1, keepdim=True) + rest["attention_mask"].cumsum(1) - 1
        rest["attention_mask"] = torch.cat([begun, rest["attention_mask"]], 1)
        following = pad_sequence([labels[row, place] for row, place in rests], True, -100)[:, 1:]
        logits = self._logits(model, rest | held, following != -100)
        return _cross_entropy(logits, following, rows["weight"][[row for row, _ in rests]])

    def _held(self, model: Any, rows: Batch) -> torch.Tensor:
        at, weight = rows.pop("labels")[:, 1:] != -100, rows.pop("weight")
        inputs = rows | {"use_cache": False}
        predicted = self._logits(model, inputs, at).log_softmax(-1)
        with torch.no_grad(), self._parent() as parent:
            wanted = self._logits(parent, inputs, at).log_softmax(-1)
        divergence = torch.nn.functional.kl_div(predicted, wanted, reduction="none", log_target=True).sum(-1)
        return (divergence * _of_tokens(weight, at)).sum()

    def _logits(self, model: Any, inputs: dict[str, Any], at: torch.Tensor) -> torch.Tensor:
        """Logits in fp32 at the positions where `at` (rows, length - 1) holds, row by row."""
        # By a hook, because the call must go through the wrappers of DDP, DeepSpeed and PEFT.
        head = self.accelerator.unwrap_model(model).get_output_embeddings()
        hook = head.register_forward_pre_hook(lambda _, hidden: (hidden[0][:, :-1][at],))
        try:
            return model(**inputs).logits.float()
        finally:
            hook.remove()

    @contextmanager
    def _parent(self) -> Iterator[Any]:
        if self.parent is not None:
            yield self.parent
            return
        with self.model.disable_adapter():
            yield self.model


def _cross_entropy(logits: torch.Tensor, following: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The loss summed over the labelled tokens of rows, each with its row's weight."""
    at = following != -100
    losses = torch.nn.functional.cross_entropy(logits, following[at], reduction="none")
    return (losses * _of_tokens(weight, at)).sum()


def _of_tokens(weight: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """The weights of rows, one for each token where `at` holds, row by row."""
    return weight[:, None].expand_as(at)[at]


class _Run(NamedTuple):
    """Neighbouring rows that begin with the same tokens."""

    rows: list[int]
    shared: int
    """How many tokens they share; 0 for a single row."""


def _runs(inputs: Batch, least: float) -> list[_Run]:
    """All rows, in runs that begin alike with `least` tokens or more.

    The token that predicts the first label is never among them.
    """
    ids = inputs["input_ids"]
    own = ((inputs["labels"] != -100).int().argmax(1) - 1).tolist()
    runs, shared = [[0]], [own[0]]
    for row in range(1, len(ids)):
        differs = (ids[row - 1] != ids[row]).nonzero()
        common = min(shared[-1], own[row], int(differs[0]) if len(differs) else ids.shape[1])
        # A run of one story does not continue with another one for a common system message alone.
        if common >= max(least, shared[-1] / 2):
            runs[-1].append(row)
            shared[-1] = common
        else:
            runs.append([row])
            shared.append(own[row])
    return [_Run(rows, num if len(rows) > 1 else 0) for rows, num in zip(runs, shared, strict=True)]


def _part(inputs: Batch, rows: torch.Tensor | list[int]) -> Batch:
    """The inputs of some rows, padded to the longest of them."""
    length = int(inputs["attention_mask"][rows].sum(1).max())
    return {name: each[rows, :length] if each.dim() > 1 else each[rows] for name, each in inputs.items()}


def _padded(rows: list[torch.Tensor]) -> Batch:
    masks = [row.new_ones(len(row)) for row in rows]
    return {"input_ids": pad_sequence(rows, True), "attention_mask": pad_sequence(masks, True)}
