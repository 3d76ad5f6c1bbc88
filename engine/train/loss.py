"""What SFT minimizes: the loss on answers, and on rehearsal rows the distance to the parent."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


_LEAST_SHARED = 64
"""Tokens that rows must begin with alike for these to be computed once."""


def sft_trainer() -> Any:
    """TRL's SFTTrainer with two changes.

    Logits are computed only where there is loss. TRL's own fused loss does that on a GPU; on a CPU it
    computes those of prompt and padding too, twice, and multiplies in fp32. Nor is anything computed on the
    padding that short rows would get beside long ones of the other kind, and what neighbouring rows begin
    with alike, as the prompts of one story do, is computed once (`_runs`).

    A row that is labelled from its very first token, which nothing predicts, is rehearsal. What is minimized
    there is the divergence of the parent's next token from the model's, KL(parent || model), at every
    position (learning without forgetting, Li and Hoiem 2016). Its gradient is zero as long as the model says
    what the parent said, where that of the text's cross-entropy is so only on average: with as many rows of
    it the embedded model was 0.027 nats a token from its base on other text of that kind instead of 0.106.
    """
    import torch
    from transformers import DynamicCache
    from transformers.integrations import is_deepspeed_zero3_enabled
    from trl import SFTTrainer

    class RehearsingSFTTrainer(SFTTrainer):
        parent: "PreTrainedModel | None" = None
        """The frozen parent, where it cannot be had by switching adapters off."""

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):  # type: ignore[no-untyped-def]
            rehearsed = inputs["labels"][:, 0] != -100
            loss = inputs["labels"].new_zeros((), dtype=torch.float32)
            # Each kind by itself: rehearsal is short, and would be padded to the length of proofs.
            if not rehearsed.all():
                rows = _part(inputs, ~rehearsed)
                runs = _runs(rows, self._least_shared)
                if alone := [run.rows[0] for run in runs if not run.shared]:
                    loss = loss + self._learnt(model, _part(rows, alone))
                if alike := [run for run in runs if run.shared]:
                    loss = loss + self._learnt_alike(model, rows, alike)
            if rehearsed.any():
                loss = loss + self._kept(model, _part(inputs, rehearsed))
            if num_items_in_batch is None:
                # Validation: a batch by itself.
                return loss / (inputs["labels"][:, 1:] != -100).sum()
            # The number is the whole step's; gradients are averaged over workers.
            return loss / num_items_in_batch * self.accelerator.num_processes

        @cached_property
        def _least_shared(self) -> float:
            """Fewer tokens are not worth a call of their own. What is checkpointed keeps no keys and values;
            where weights are sharded, all workers must make the same number of calls."""
            full = set(getattr(self.model.config, "layer_types", None) or ()) <= {"full_attention"}
            shares = full and not self.args.gradient_checkpointing and not is_deepspeed_zero3_enabled()
            return _LEAST_SHARED if shares else math.inf

        def _learnt(self, model: Any, rows: dict[str, "torch.Tensor"]) -> "torch.Tensor":
            following = rows.pop("labels")[:, 1:]
            at = following != -100
            logits = self._logits(model, rows | {"use_cache": False}, at)
            return torch.nn.functional.cross_entropy(logits, following[at], reduction="sum")

        def _learnt_alike(
            self, model: Any, rows: dict[str, "torch.Tensor"], runs: "list[_Run]"
        ) -> "torch.Tensor":
            """As `_learnt`; keys and values of what a run begins with, made once, serve all its rows."""
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
            following = _pad([labels[row, place] for row, place in rests], -100)[:, 1:]
            at = following != -100
            logits = self._logits(model, rest | held, at)
            return torch.nn.functional.cross_entropy(logits, following[at], reduction="sum")

        def _kept(self, model: Any, rows: dict[str, Any]) -> "torch.Tensor":
            at = rows.pop("labels")[:, 1:] != -100
            rows["use_cache"] = False
            said = self._logits(model, rows, at).log_softmax(-1)
            with torch.no_grad(), self._parent() as parent:
                wanted = self._logits(parent, rows, at).log_softmax(-1)
            return torch.nn.functional.kl_div(said, wanted, reduction="sum", log_target=True)

        def _logits(self, model: Any, inputs: dict[str, Any], at: "torch.Tensor") -> "torch.Tensor":
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

    return RehearsingSFTTrainer


class _Run(NamedTuple):
    """Neighbouring rows that begin with the same tokens; 0 where it is one row."""

    rows: list[int]
    shared: int


def _runs(inputs: dict[str, "torch.Tensor"], least: float) -> list[_Run]:
    """All rows, in runs that begin alike with `least` tokens or more. The token that says the first
    label is never among them.
    """
    ids = inputs["input_ids"]
    own = ((inputs["labels"] != -100).int().argmax(1) - 1).tolist()
    runs, shared = [[0]], [own[0]]
    for row in range(1, len(ids)):
        differs = (ids[row - 1] != ids[row]).nonzero()
        common = min(shared[-1], own[row], int(differs[0]) if len(differs) else ids.shape[1])
        # Not for a system prompt alone is a run of one story to go on with another.
        if common >= max(least, shared[-1] / 2):
            runs[-1].append(row)
            shared[-1] = common
        else:
            runs.append([row])
            shared.append(own[row])
    return [_Run(rows, num if len(rows) > 1 else 0) for rows, num in zip(runs, shared, strict=True)]


def _part(inputs: dict[str, "torch.Tensor"], rows: "torch.Tensor | list[int]") -> dict[str, "torch.Tensor"]:
    """The inputs of some rows, padded to the longest of them."""
    length = int(inputs["attention_mask"][rows].sum(1).max())
    return {name: value[rows, :length] for name, value in inputs.items()}


def _padded(rows: list["torch.Tensor"]) -> dict[str, "torch.Tensor"]:
    return {"input_ids": _pad(rows, 0), "attention_mask": _pad([row.new_ones(len(row)) for row in rows], 0)}


def _pad(rows: list["torch.Tensor"], value: int) -> "torch.Tensor":
    from torch.nn.utils.rnn import pad_sequence

    return pad_sequence(rows, batch_first=True, padding_value=value)
