"""LoRA on a frozen linear layer as one step of autograd, behind PEFT's own module.

PEFT widens a layer's input to the adapter's fp32 and keeps that copy, the adapter's halves of the
products and their sum for the way back. Here fp32 adapters are rounded to the input's precision
for the product alone, the input is kept as it is, and the gradients are products that run along
the long side of their matrices. What is trained, saved and loaded stays PEFT's.
"""

from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora.layer import Linear as LoraLinear
from peft.tuners.lora.layer import LoraLayer
from transformers.pytorch_utils import Conv1D


def fuse(model: torch.nn.Module) -> str:
    """Puts the one step behind every adapter of a model that it serves; returns what that was.

    Left to PEFT: DoRA and other variants, quantised layers, dropout, trained or merged bases, and
    adapters of experts that are one parameter.
    """
    adapters = [module for module in model.modules() if isinstance(module, LoraLayer)]
    kept = Counter[str]()
    for module in adapters:
        if (why := _peft_alone(module)) or not isinstance(module, LoraLinear):
            kept[why] += 1
        else:
            module.forward = _step(module, module.forward)
    reasons = ", ".join(kept)
    served = len(adapters) - kept.total()
    if not served:
        return f"off: PEFT's own for {reasons}"
    rest = f"; PEFT's own for {reasons}" if kept else ""
    return f"on: {served:,} of {len(adapters):,} adapters{rest}"


def _peft_alone(module: LoraLayer) -> str:
    """Returns what of an adapter only PEFT's own code computes, or ""."""
    if type(module) is not LoraLinear:
        return f"adapters of {type(module.get_base_layer()).__name__}"
    base = module.get_base_layer()
    if type(base) not in (torch.nn.Linear, Conv1D):
        return f"adapters of {type(base).__name__}"
    if base.weight.requires_grad:
        return "bases that are trained"
    (name, *more) = module.active_adapters
    if more or name not in module.lora_A:
        return "several adapters at once"
    if name in module.lora_variant:
        return "DoRA"
    if not isinstance(module.lora_dropout[name], torch.nn.Identity):
        return "dropout"
    if module.lora_A[name].bias is not None or module.lora_B[name].bias is not None:
        return "adapters with a bias"
    return ""


def _step(module: LoraLinear, plain: Any) -> Any:
    base = module.get_base_layer()
    (name,) = module.active_adapters
    down, up, scale = module.lora_A[name], module.lora_B[name], float(module.scaling[name])
    transposed = isinstance(base, Conv1D)

    def forward(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        given = args or kwargs or module.disable_adapters or module.merged
        if given or x.dtype != base.weight.dtype:
            return plain(x, *args, **kwargs)
        weight = base.weight.T if transposed else base.weight
        return _FusedLora.apply(x, weight, base.bias, down.weight, up.weight, scale)

    return forward


class _FusedLora(torch.autograd.Function):
    """y = x Wᵀ + b + scale (x Aᵀ) Bᵀ, with W and b frozen.

    Shapes: x (…, inputs), W (outputs, inputs), A (rank, inputs), B (outputs, rank).
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        low = rows @ down.to(x.dtype).T
        out = F.linear(rows, weight, bias)
        out.addmm_(low, up.to(x.dtype).T, alpha=scale)
        ctx.save_for_backward(rows, low, weight, down, up)
        ctx.scale, ctx.shape = scale, x.shape
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, low, weight, down, up = ctx.saved_tensors
        grad = grads[0].reshape(-1, weight.shape[0])
        of_low = (grad @ up.to(rows.dtype)).mul_(ctx.scale)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (grad @ weight).addmm_(of_low, down.to(rows.dtype)).view(ctx.shape)
        of_down = (of_low.T @ rows).to(down.dtype)
        of_up = (low.T @ grad).T.to(up.dtype) * ctx.scale
        return of_x, None, None, of_down, of_up, None
