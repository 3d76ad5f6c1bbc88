"""What SFT minimizes: the loss on answers, and on rows to hold the distance to the parent.

Only workers import this file.
"""

import copy
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.utils.rnn import pad_sequence
from trl import SFTTrainer

from engine.train.attention import NAME as TREE_ATTENTION
from engine.train.attention import can_be_tree
from engine.train.tree import Tree

_CHUNK = 16
"""Rows of logits that are gone over at once: those of 49,152 tokens stay in the cache of a core."""
_AT_ONCE = 64
"""Rows to hold that the parent goes over at once."""


class HoldingSFTTrainer(SFTTrainer):
    """TRL's SFTTrainer with rows to hold, row weights, and less to compute.

    Each example has the columns ``input_ids``, ``labels``, ``hold`` and ``weight``, or is a pack of such
    ``rows``. A row's summed loss is multiplied by its weight, while the divisor stays the number of labelled
    tokens of the whole step: a weight w scales the row's gradient by exactly w.

    On a row to `hold`, the divergence of the parent's next token from the model's, KL(parent || model), is
    minimized at every position (learning without forgetting, Li and Hoiem 2016). Its gradient is zero as long
    as the model predicts what the parent predicts; that of the text's cross-entropy is zero only on average.
    With as many such rows the embedded model was 0.027 nats a token from its base on other text of that kind,
    instead of 0.106.

    Logits are computed only where there is a loss. TRL's own fused loss does that on a GPU; on a CPU it
    computes those of prompt and padding too, twice, and multiplies in fp32. On a CPU the rows go through the
    model as a tree, in which nothing is computed twice or on padding (`engine/train/tree.py`); elsewhere
    they are padded, each role by itself, because rows to hold are short.

    With `packing`, rows that are not a tree lie end to end in one sequence, as TRL lays them out where it
    packs without padding: positions begin anew with each row, by which transformers masks rows from each
    other, and FlashAttention computes each by itself.
    """

    def __init__(self, *arguments: Any, packing: bool = False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._collate_ids: Any = self.data_collator  # type: ignore[has-type]
        self.data_collator = self._collate
        self._is_tree = self.args.device.type == "cpu" and can_be_tree(self.model)
        if self._is_tree:
            self.model.set_attn_implementation(TREE_ATTENTION)
        self._is_packed = packing and not self._is_tree
        self._parent_states: dict[tuple[int, ...], torch.Tensor] = {}
        self._parent_head: torch.nn.Module | None = None

    def remember_parent(self, rows: Sequence[list[int]]) -> None:
        """Keep what the model, which is still its parent, makes of the ids of all rows to hold.

        Of each row the last hidden states are kept, from which the parent's head gives its logits again.
        """
        if not rows:
            return
        # DeepSpeed would move it when training begins; a quantised model is there and cannot be moved.
        if not getattr(self.model, "is_quantized", False):
            self.model.to(self.args.device)
        self.model.eval()
        with torch.no_grad(), self.compute_loss_context_manager():
            for begin in range(0, len(rows), _AT_ONCE):
                part = [_Row(ids, range(1, len(ids)), True, 1.0) for ids in rows[begin : begin + _AT_ONCE]]
                laid = self._lay_out(part, self.args.device)
                states = self._states(self.model, laid.inputs)
                for row, places in zip(part, laid.places, strict=True):
                    self._parent_states[tuple(row.ids)] = states[torch.tensor(places)].cpu()
        head = self.model.get_output_embeddings()
        # Under LoRA the head does not learn.
        self._parent_head = copy.deepcopy(head) if head.weight.requires_grad else head
        self.model.train()

    def _collate(self, items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        examples = [row for item in items for row in item.get("rows", [item])]
        batch: dict[str, torch.Tensor] = self._collate_ids(examples)
        for column, dtype in (("hold", torch.bool), ("weight", torch.float32)):
            batch[column] = torch.tensor([example[column] for example in examples], dtype=dtype)
        return batch

    def _prepare_inputs(self, inputs):  # type: ignore[no-untyped-def]
        prepared = super()._prepare_inputs(inputs)
        # DeepSpeed casts floating point inputs to the dtype of the training, which would round the weights.
        return {**prepared, "weight": inputs["weight"].to(self.args.device)}

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):  # type: ignore[no-untyped-def]
        rows = _rows(inputs)
        learn, hold = [row for row in rows if not row.hold], [row for row in rows if row.hold]
        device = inputs["labels"].device
        loss = torch.zeros((), device=device)
        for part in [rows] if self._is_tree or self._is_packed else [learn, hold]:
            if part:
                loss = loss + self._loss(model, part, device)
        if num_items_in_batch is None:
            # Validation: a batch by itself.
            return loss / sum(len(row.labelled) for row in rows)
        # The number is the whole step's; gradients are averaged over workers.
        return loss / num_items_in_batch * self.accelerator.num_processes

    def _loss(self, model: Any, rows: "list[_Row]", device: torch.device) -> torch.Tensor:
        """Summed over the labelled tokens of rows."""
        laid = self._lay_out(rows, device)
        targets = [
            _Target(laid.places[i][at - 1], row.ids[at], row.weight)
            for i, row in enumerate(rows)
            if not row.hold
            for at in row.labelled
        ]
        # Where rows to hold begin alike, the parent and the model are compared once, with their weights' sum.
        weights: dict[int, float] = {}
        for i, row in enumerate(rows):
            for at in row.labelled if row.hold else ():
                place = laid.places[i][at - 1]
                weights[place] = weights.get(place, 0.0) + row.weight
        logits = self._logits(model, laid.inputs, [*(target.place for target in targets), *weights])
        loss: torch.Tensor = _SummedLoss.apply(
            logits,
            torch.tensor([target.token for target in targets], dtype=torch.long, device=device),
            self._wanted(rows, laid, list(weights)),
            torch.tensor([*(target.weight for target in targets), *weights.values()], device=device),
        )
        return loss

    def _wanted(self, rows: "list[_Row]", laid: "_LaidOut", places: list[int]) -> torch.Tensor:
        """The parent's logits at the places of rows to hold."""
        if not places:
            return torch.empty(0)
        assert self._parent_head, "the trainer must remember the parent of rows to hold"
        states = {
            place: state
            for row, there in zip(rows, laid.places, strict=True)
            if row.hold
            for place, state in zip(there, self._parent_states[tuple(row.ids)], strict=True)
        }
        with torch.no_grad():
            chosen = torch.stack([states[place] for place in places]).to(self.args.device)
            logits: torch.Tensor = self._parent_head(chosen)
        return logits

    def _lay_out(self, rows: "list[_Row]", device: torch.device) -> "_LaidOut":
        if self._is_tree:
            tree = Tree.of([row.ids for row in rows])
            return _LaidOut(tree.inputs, tree.where)
        if self._is_packed and self.model.training:
            return _end_to_end(rows, device)
        ids = pad_sequence([torch.tensor(row.ids) for row in rows], True).to(device)
        mask = pad_sequence([torch.ones(len(row.ids), dtype=torch.long) for row in rows], True).to(device)
        length = ids.shape[1]
        places = [range(i * length, i * length + len(row.ids)) for i, row in enumerate(rows)]
        return _LaidOut({"input_ids": ids, "attention_mask": mask}, places)

    def _logits(self, model: Any, inputs: dict[str, Any], places: list[int]) -> torch.Tensor:
        """Logits at `places` of what `inputs` holds, in the dtype of the model."""
        # By a hook, because the call must go through the wrappers of DDP, DeepSpeed and PEFT.
        head = self.accelerator.unwrap_model(model).get_output_embeddings()
        at = torch.tensor(places, device=inputs["input_ids"].device)
        hook = head.register_forward_pre_hook(
            lambda _, hidden: (hidden[0].flatten(0, 1).index_select(0, at),)
        )
        try:
            logits: torch.Tensor = model(**inputs, use_cache=False).logits
            return logits
        finally:
            hook.remove()

    def _states(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """The last hidden states, which the head is given."""
        found = []

        def keep(_: Any, hidden: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
            found.append(hidden[0].flatten(0, 1))
            return (hidden[0][:, :1],)

        hook = model.get_output_embeddings().register_forward_pre_hook(keep)
        try:
            model(**inputs, use_cache=False)
        finally:
            hook.remove()
        return found[0]


class _Row(NamedTuple):
    ids: list[int]
    labelled: range
    """Which tokens have a loss."""
    hold: bool
    weight: float


class _Target(NamedTuple):
    place: int
    """Where the token is predicted."""
    token: int
    weight: float


class _LaidOut(NamedTuple):
    """Rows as one input of a model."""

    inputs: dict[str, Any]
    places: Sequence[Sequence[int]]
    """Of each token of each row, in the hidden states, which follow one another."""


def _end_to_end(rows: "list[_Row]", device: torch.device) -> _LaidOut:
    """One sequence without a mask: its positions say where each row begins."""
    ids = torch.tensor([[token for row in rows for token in row.ids]], device=device)
    positions = torch.tensor([[at for row in rows for at in range(len(row.ids))]], device=device)
    ends = list(itertools.accumulate(len(row.ids) for row in rows))
    places = [range(end - len(row.ids), end) for row, end in zip(rows, ends, strict=True)]
    return _LaidOut({"input_ids": ids, "position_ids": positions}, places)


def _rows(inputs: dict[str, torch.Tensor]) -> list[_Row]:
    columns = [inputs[name].tolist() for name in ("input_ids", "hold", "weight")]
    lengths = inputs["attention_mask"].sum(1).tolist()
    first = (inputs["labels"][:, 1:] != -100).int().argmax(1).add(1).tolist()
    return [
        _Row(ids[:length], range(begin, length), hold, weight)
        for ids, hold, weight, length, begin in zip(*columns, lengths, first, strict=True)
    ]


class _SummedLoss(torch.autograd.Function):
    """The weighted sum of -log p(target) and of KL(wanted || predicted), from logits (rows, vocabulary).

    The first rows have a target, the others wanted logits. Forward computes the gradient too, while a chunk
    of logits is at hand.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, targets: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        gradient, total = torch.empty_like(logits), logits.new_zeros((), dtype=torch.float32)
        logs, other = (logits.new_empty(_CHUNK, logits.shape[1], dtype=torch.float32) for _ in range(2))
        for part in _chunks(0, len(targets)):
            target, each = targets[part, None], weight[part, None]
            _log_softmax(logits[part], logs, other)
            chunk = logs[: len(each)]
            total -= (chunk.gather(1, target) * each).sum()
            gradient[part] = chunk.exp_().mul_(each).scatter_add_(1, target, -each)
        if len(targets) == len(logits):
            ctx.save_for_backward(gradient)
            return total
        wanted_logs, shares = torch.empty_like(logs), torch.empty_like(logs)
        for part in _chunks(len(targets), len(logits)):
            each = weight[part, None]
            num = len(each)
            _log_softmax(logits[part], logs, other)
            _log_softmax(wanted[part.start - len(targets) : part.stop - len(targets)], wanted_logs, other)
            torch.exp(wanted_logs[:num], out=shares[:num])
            total += (wanted_logs[:num].sub_(logs[:num]).mul_(shares[:num]).sum(1, keepdim=True) * each).sum()
            gradient[part] = logs[:num].exp_().sub_(shares[:num]).mul_(each)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        # In place, because the gradient is as large as all logits, and needed once.
        return ctx.saved_tensors[0].mul_(gradients[0]), None, None, None


def _chunks(begin: int, end: int) -> Iterator[slice]:
    for start in range(begin, end, _CHUNK):
        yield slice(start, min(start + _CHUNK, end))


def _log_softmax(logits: torch.Tensor, out: torch.Tensor, scratch: torch.Tensor) -> None:
    """In fp32, into the first rows of `out`: fresh memory for each chunk would take longer than its sums."""
    num = len(logits)
    torch.ops.aten._log_softmax.out(scratch[:num].copy_(logits), -1, False, out=out[:num])
