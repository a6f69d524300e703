"""Cross-entropy that holds no copy of the logits in fp32, and no softmax.

`F.cross_entropy(logits.float(), …)` needs five tensors as large as the logits, of 18 bytes for
each bf16 number. Here the sums are taken block by block, and going back the softmax is made again
and turned to the gradient while its block is in the cache: 4 bytes, in less time.
"""

from typing import Any

import torch

_BLOCK = {"cpu": 1 << 19}
"""Numbers of a block: 2 MB of fp32, which stay in a processor's cache."""
_WIDE_BLOCK = 1 << 26
"""The same where kernels are launched one by one: 256 MB."""


def summed_cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None
) -> torch.Tensor:
    """Returns the sum of -log softmax(logits)[target] × weight over rows, a scalar in fp32.

    Args:
        logits: (count, vocabulary), of any precision; computed with in fp32.
        targets: (count,) int64 ids.
        weights: (count,) fp32; None is 1 for all.
    """
    return _CrossEntropy.apply(logits, targets, weights)  # type: ignore[no-any-return]


def _blocks(logits: torch.Tensor) -> list[slice]:
    rows = max(_BLOCK.get(logits.device.type, _WIDE_BLOCK) // logits.shape[1], 1)
    return [slice(start, start + rows) for start in range(0, logits.shape[0], rows)]


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None
    ) -> torch.Tensor:
        losses = torch.empty(logits.shape[0], dtype=torch.float32, device=logits.device)
        for some in _blocks(logits):
            shares = torch.log_softmax(logits[some], dim=1, dtype=torch.float32)
            losses[some] = -shares.gather(1, targets[some].unsqueeze(1)).squeeze(1)
        ctx.save_for_backward(logits, targets, weights)
        return (losses if weights is None else losses * weights).sum()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        logits, targets, weights = ctx.saved_tensors
        scale = grads[0].expand(len(targets)) if weights is None else grads[0] * weights
        of_logits = torch.empty_like(logits)
        for some in _blocks(logits):
            share = torch.softmax(logits[some], dim=1, dtype=torch.float32)
            hit = share.new_full((len(share), 1), -1.0)
            share.scatter_add_(1, targets[some].unsqueeze(1), hit)
            of_logits[some] = share.mul_(scale[some].unsqueeze(1))
        return of_logits, None, None
