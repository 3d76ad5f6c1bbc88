"""What SFT minimizes: the loss on answers, and on rehearsal rows the distance to the parent."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def sft_trainer() -> Any:
    """TRL's SFTTrainer with two changes.

    Logits are computed only where there is loss. TRL's own fused loss does that on a GPU; on a CPU it
    computes those of prompt and padding too, twice, and multiplies in fp32. Nor is anything computed on the
    padding that short rows would get beside long ones of the other kind.

    A row that is labelled from its very first token, which nothing predicts, is rehearsal. What is minimized
    there is the divergence of the parent's next token from the model's, KL(parent || model), at every
    position (learning without forgetting, Li and Hoiem 2016). Its gradient is zero as long as the model says
    what the parent said, where that of the text's cross-entropy is so only on average: with as many rows of
    it the embedded model was 0.027 nats a token from its base on other text of that kind instead of 0.106.
    """
    import torch
    from trl import SFTTrainer

    class RehearsingSFTTrainer(SFTTrainer):
        parent: "PreTrainedModel | None" = None
        """The frozen parent, where it cannot be had by switching adapters off."""

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):  # type: ignore[no-untyped-def]
            rehearsed = inputs["labels"][:, 0] != -100
            loss = inputs["labels"].new_zeros((), dtype=torch.float32)
            # Each kind by itself: rehearsal is short, and would be padded to the length of proofs.
            if not rehearsed.all():
                loss = loss + self._learnt(model, _part(inputs, ~rehearsed))
            if rehearsed.any():
                loss = loss + self._kept(model, _part(inputs, rehearsed))
            # The number is the whole step's; gradients are averaged over workers.
            return loss / num_items_in_batch * self.accelerator.num_processes

        def _learnt(self, model: Any, rows: dict[str, "torch.Tensor"]) -> "torch.Tensor":
            following = rows.pop("labels")[:, 1:]
            at = following != -100
            return torch.nn.functional.cross_entropy(
                self._logits(model, rows, at), following[at], reduction="sum"
            )

        def _kept(self, model: Any, rows: dict[str, "torch.Tensor"]) -> "torch.Tensor":
            at = rows.pop("labels")[:, 1:] != -100
            said = self._logits(model, rows, at).log_softmax(-1)
            with torch.no_grad(), self._parent() as parent:
                wanted = self._logits(parent, rows, at).log_softmax(-1)
            return torch.nn.functional.kl_div(said, wanted, reduction="sum", log_target=True)

        def _logits(
            self, model: Any, inputs: dict[str, "torch.Tensor"], at: "torch.Tensor"
        ) -> "torch.Tensor":
            """Logits in fp32 at the positions where `at` (rows, length - 1) holds, row by row."""
            # By a hook, because the call must go through the wrappers of DDP, DeepSpeed and PEFT.
            head = self.accelerator.unwrap_model(model).get_output_embeddings()
            hook = head.register_forward_pre_hook(lambda _, hidden: (hidden[0][:, :-1][at],))
            try:
                return model(**inputs, use_cache=False).logits.float()
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
