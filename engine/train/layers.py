"""LoRA layers and norms computed with less, for training on a CPU. Only workers import this file.

There a small model's step goes by half into what PEFT and transformers do around its matrix products: casts,
copies and sums for each adapter, and half a dozen passes over memory for each norm.
"""

from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import nn

Gradients = tuple[torch.Tensor | None, ...]


def speed_up(model: nn.Module) -> None:
    """Replace how a model's LoRA layers and RMS norms compute. What they compute and learn stays the same.

    Layers of another form keep their own way.
    """
    for module in list(model.modules()):
        if type(module) is Linear and _is_plain(module):
            module.forward = _Adapted(module)
        elif _is_rms_norm(module):
            module.forward = _Norm(module)


def _is_plain(layer: Linear) -> bool:
    """Whether a layer is W x + scaling B A x and no more."""
    (name, *others) = layer.active_adapters
    return not others and not (
        type(layer.base_layer) is not nn.Linear
        or layer.use_dora.get(name)
        or layer.lora_bias.get(name)
        or not isinstance(layer.lora_dropout[name], nn.Identity)
    )


class _Adapted:
    """The forward pass of a LoRA layer, W x + scaling B A x (Hu et al. 2021)."""

    def __init__(self, layer: Linear) -> None:
        self._layer = layer
        (self._name,) = layer.active_adapters

    def __call__(self, rows: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        layer, name = self._layer, self._name
        base: nn.Linear = layer.base_layer
        rows = rows.to(base.weight.dtype)
        if layer.disable_adapters:
            return nn.functional.linear(rows, base.weight, base.bias)
        a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
        out: torch.Tensor = _LoraLinear.apply(rows, base.weight, base.bias, a, b, layer.scaling[name])
        return out


class _LoraLinear(torch.autograd.Function):
    """rows (..., in) to (..., out), with gradients for the rows, A and B.

    A and B stay in their own precision, and the products are made in that of the weight.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rows: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        flat, small_a, small_b = rows.flatten(0, -2), a.to(weight.dtype), (b * scaling).to(weight.dtype)
        inner = flat @ small_a.t()
        out = nn.functional.linear(flat, weight, bias).addmm_(inner, small_b.t())
        ctx.save_for_backward(rows, weight, small_a, small_b, inner)
        ctx.scaling, ctx.dtype = scaling, a.dtype
        return out.view(*rows.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Gradients:
        rows, weight, a, b, inner = ctx.saved_tensors
        gradient, flat = gradients[0].flatten(0, -2), rows.flatten(0, -2)
        of_inner = gradient @ b
        of_a = (of_inner.t() @ flat).to(ctx.dtype)
        of_b = (gradient.t() @ inner).to(ctx.dtype).mul_(ctx.scaling)
        of_rows = None
        if ctx.needs_input_grad[0]:
            of_rows = (gradient @ weight).addmm_(of_inner, a).view_as(rows)
        return of_rows, None, None, of_a, of_b, None


def _is_rms_norm(module: nn.Module) -> bool:
    """Whether a module, named so, computes what `_Norm` does."""
    if not type(module).__name__.endswith("RMSNorm") or not hasattr(module, "variance_epsilon"):
        return False
    weight = module.weight
    rows = torch.linspace(-2, 3, 2 * weight.numel(), device=weight.device, dtype=weight.dtype)
    rows = rows.view(2, -1)
    with torch.no_grad():
        return bool(torch.allclose(module(rows), _Norm(module)(rows), rtol=0.02, atol=1e-5))


class _Norm:
    """The forward pass of an RMS norm (Zhang and Sennrich 2019)."""

    def __init__(self, norm: nn.Module) -> None:
        self._norm = norm

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = _RmsNorm.apply(rows, self._norm.weight, self._norm.variance_epsilon)
        return out


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        wide = rows.float()
        scale = wide.square().mean(-1, keepdim=True).add_(epsilon).rsqrt_()
        normal = (wide * scale).to(rows.dtype)
        ctx.save_for_backward(normal, scale, weight)
        return normal * weight

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Gradients:
        (gradient,), (normal, scale, weight) = gradients, ctx.saved_tensors
        of_weight = None
        if ctx.needs_input_grad[1]:
            of_weight = (gradient * normal).flatten(0, -2).sum(0).to(weight.dtype)
        of_normal, wide = (gradient * weight).float(), normal.float()
        along = (of_normal * wide).mean(-1, keepdim=True)
        of_rows = of_normal.addcmul_(wide, along, value=-1).mul_(scale).to(normal.dtype)
        return of_rows, of_weight, None
