"""Causal attention over a tree of tokens, for training on a CPU. Only workers import this file.

For rows of some hundred tokens PyTorch's fused attention is slow on a CPU, above all backward, and the plain
one of transformers goes over the scores six times and over the padding too.
"""

from typing import Any

import torch
from transformers import AttentionInterface, PreTrainedModel

from engine.plan.footprint import EAGER_LENGTH
from engine.train.tree import Group, Tree

NAME = "ratchet_tree"
"""The attention's name in transformers."""
_FURTHER = ("sliding_window", "attention_dropout", "attn_pdrop", "attn_logit_softcapping")
"""Settings of a model that make its attention another one."""


def can_be_tree(model: PreTrainedModel) -> bool:
    """Whether a model's attention can be replaced: each layer looks at all before it, and does no more."""
    config = model.config
    full = set(getattr(config, "layer_types", None) or ()) <= {"full_attention"}
    further = any(getattr(config, name, None) for name in _FURTHER)
    return full and model._supports_attention_backend and not further


class _TreeAttention(torch.autograd.Function):
    """Attention of queries (T, H, d) to keys and values (T, K, d) of a tree; H is a multiple of K."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, tree: Tree, scaling: float
    ) -> torch.Tensor:
        (_, heads, width), kv_heads = query.shape, key.shape[1]
        scaled = query * scaling
        outs, saved = [], []
        for group in tree.groups:
            # The queries of the H / K heads that share keys go one below the other.
            queries = _take(scaled, group.own, kv_heads)
            keys, values = _take(key, group.keys, kv_heads), _take(value, group.keys, kv_heads)
            shares = _shares(group, queries, keys)
            outs.append(_give(torch.bmm(shares, values), group, heads))
            # Long rows have so many that they are rather computed again.
            saved += [queries, keys, values, shares if keys.shape[1] <= EAGER_LENGTH else keys.new_empty(0)]
        ctx.save_for_backward(*saved)
        ctx.tree, ctx.scaling, ctx.kv_heads, ctx.heads = tree, scaling, kv_heads, heads
        return torch.cat(outs).index_select(0, tree.place).view(-1, heads, width)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,), tree, heads, kv_heads = gradients, ctx.tree, ctx.heads, ctx.kv_heads
        of_queries: list[torch.Tensor] = []
        of_keys: list[torch.Tensor] = []
        of_values: list[torch.Tensor] = []
        begins = []
        # Asked for once: with gradient checkpointing a second time is an error.
        saved = ctx.saved_tensors
        for i, group in enumerate(tree.groups):
            queries, keys, values, shares = saved[4 * i : 4 * i + 4]
            if not shares.numel():
                shares = _shares(group, queries, keys)
            of_out = _take(gradient, group.own, kv_heads, only=group.real)
            of_shares = torch.bmm(of_out, values.transpose(1, 2))
            of_scores = torch._softmax_backward_data(of_shares, shares, -1, shares.dtype)
            of_queries.append(_give(torch.bmm(of_scores, keys), group, heads))
            begin = []
            for gradients_, into in (
                (torch.bmm(of_scores.transpose(1, 2), queries), of_keys),
                (torch.bmm(shares.transpose(1, 2), of_out), of_values),
            ):
                shape = (len(group.own), kv_heads, *gradients_.shape[1:])
                rows = gradients_.view(shape).transpose(1, 2)
                into.append(rows[:, len(group.before) :].reshape(group.own.numel(), -1))
                begin.append(rows[:, : len(group.before)].sum(0).flatten(1))
            begins.append((group.before, begin))
        query = torch.cat(of_queries).index_select(0, tree.place).mul_(ctx.scaling)
        key, value = (torch.cat(each).index_select(0, tree.place) for each in (of_keys, of_values))
        for before, (of_key, of_value) in begins:
            if len(before):
                key.index_add_(0, before, of_key)
                value.index_add_(0, before, of_value)
        width = gradient.shape[-1]
        return (
            query.view(-1, heads, width),
            key.view(-1, kv_heads, width),
            value.view(-1, kv_heads, width),
            None,
            None,
        )


def _shares(group: Group, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """How much each query looks at each key, of those it may look at."""
    mask = group.mask(queries.shape[1] // group.own.shape[1], queries.dtype)
    return torch.softmax(torch.baddbmm(mask, queries, keys.transpose(1, 2)), -1)


def _take(
    rows: torch.Tensor, places: torch.Tensor, kv_heads: int, only: torch.Tensor | None = None
) -> torch.Tensor:
    """The rows (T, heads, d) at `places` (B, n), as (B x K, heads / K x n, d).

    They are zeros where `only` (B x n) is false.
    """
    batch, num = places.shape
    taken = rows.flatten(1).index_select(0, places.flatten())
    if only is not None and not only.all():
        taken[~only] = 0
    taken = taken.view(batch, num, kv_heads, -1, rows.shape[-1]).permute(0, 2, 3, 1, 4)
    return taken.reshape(batch * kv_heads, -1, rows.shape[-1])


def _give(rows: torch.Tensor, group: Group, heads: int) -> torch.Tensor:
    """What `_take` took, as (B x n, heads x d)."""
    batch, num = group.own.shape
    return rows.view(batch, heads, num, -1).transpose(1, 2).reshape(batch * num, -1)


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    tree: Tree,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers calls it, with a batch of one: (1, heads, T, d) become (1, T, heads, d)."""
    # Positions in 32 bit make such queries and keys of 16-bit ones.
    rows = (each[0].transpose(0, 1).to(value.dtype) for each in (query, key, value))
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    # Autocast would make the shares 32-bit ones, and cast them again.
    with torch.autocast(query.device.type, enabled=False):
        return _TreeAttention.apply(*rows, tree, scaling)[None], None


AttentionInterface.register(NAME, _attend)
