"""What SFT minimizes: the loss on answers, and on rehearsal rows the distance to the parent."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

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
    with alike, as the prompts of one story do, is computed once (`_parts`).

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
                for rows, shared in _parts(_part(inputs, ~rehearsed), self._least_shared):
                    loss = loss + self._learnt(model, rows, shared)
            if rehearsed.any():
                loss = loss + self._kept(model, _part(inputs, rehearsed))
            # The number is the whole step's; gradients are averaged over workers.
            return loss / num_items_in_batch * self.accelerator.num_processes

        @cached_property
        def _least_shared(self) -> float:
            """Fewer tokens are not worth a call of their own. What is checkpointed keeps no keys and values;
            where weights are sharded, all workers must make the same number of calls."""
            full = set(getattr(self.model.config, "layer_types", None) or ()) <= {"full_attention"}
            shares = full and not self.args.gradient_checkpointing and not is_deepspeed_zero3_enabled()
            return _LEAST_SHARED if shares else math.inf

        def _learnt(self, model: Any, rows: dict[str, "torch.Tensor"], shared: int) -> "torch.Tensor":
            following = rows.pop("labels")[:, 1:]
            at = following != -100
            logits = self._logits(model, rows, at, shared)
            return torch.nn.functional.cross_entropy(logits, following[at], reduction="sum")

        def _kept(self, model: Any, rows: dict[str, "torch.Tensor"]) -> "torch.Tensor":
            at = rows.pop("labels")[:, 1:] != -100
            said = self._logits(model, rows, at).log_softmax(-1)
            with torch.no_grad(), self._parent() as parent:
                wanted = self._logits(parent, rows, at).log_softmax(-1)
            return torch.nn.functional.kl_div(said, wanted, reduction="sum", log_target=True)

        def _logits(
            self, model: Any, inputs: dict[str, "torch.Tensor"], at: "torch.Tensor", shared: int = 0
        ) -> "torch.Tensor":
            """Logits in fp32 at the positions where `at` (rows, length - 1) holds, row by row.

            The first `shared` tokens, alike in all rows and none of them in `at`, are computed for one row.
            """
            options: dict[str, Any] = {"use_cache": False}
            if shared:
                options = {"use_cache": True, "past_key_values": DynamicCache()}
                start = {name: value[:1, :shared] for name, value in inputs.items()}
                self._call(model, start | options, at[:1, : shared - 1])
                options["past_key_values"].batch_repeat_interleave(len(at))
            rest = inputs | {"input_ids": inputs["input_ids"][:, shared:]}
            return self._call(model, rest | options, at[:, shared:])

        def _call(self, model: Any, inputs: dict[str, Any], at: "torch.Tensor") -> "torch.Tensor":
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


def _part(inputs: dict[str, "torch.Tensor"], rows: "torch.Tensor") -> dict[str, "torch.Tensor"]:
    """The inputs of some rows, padded to the longest of them."""
    length = int(inputs["attention_mask"][rows].sum(1).max())
    return {name: value[rows, :length] for name, value in inputs.items()}


def _parts(
    inputs: dict[str, "torch.Tensor"], least: float
) -> Iterator[tuple[dict[str, "torch.Tensor"], int]]:
    """Runs of rows that begin with the same tokens, `least` or more, each with their number; then the others,
    with 0. The token that says the first label is never among those shared.
    """
    ids, labels = inputs["input_ids"], inputs["labels"]
    own = (labels != -100).int().argmax(1) - 1
    alone = ids.new_zeros(len(ids), dtype=bool)
    first, shared = 0, int(own[0])
    for row in range(1, len(ids) + 1):
        common = 0
        if row < len(ids):
            differs = (ids[row - 1] != ids[row]).nonzero()
            common = min(shared, int(own[row]), int(differs[0]) if len(differs) else ids.shape[1])
        # Not for a system prompt alone is a run of one story to go on with another.
        if common >= max(least, shared / 2):
            shared = common
            continue
        run = alone.new_zeros(len(ids))
        run[first:row] = True
        if row - first > 1:
            yield _part(inputs, run), shared
        else:
            alone |= run
        first, shared = row, int(own[row]) if row < len(ids) else 0
    if alone.any():
        yield _part(inputs, alone), 0
