"""The optimizer and the course of its learning rate."""

import math
from collections.abc import Iterable

import torch

from ..config import OptimConfig


def build_optimizer(
    parameters: Iterable[torch.nn.Parameter], optim: OptimConfig
) -> torch.optim.AdamW:
    """Returns AdamW over the trainable parameters."""
    return torch.optim.AdamW(
        [parameter for parameter in parameters if parameter.requires_grad],
        lr=optim.learning_rate,
        betas=optim.betas,
        eps=optim.eps,
        weight_decay=optim.weight_decay,
    )


def reference_rate(optim: OptimConfig, step: int, total_steps: int) -> float:
    """Returns what a rate that a client sets is measured against: the schedule, or its peak.

    In warm-up it is the peak, so that a rate set early is not multiplied by the rest of the rise.
    """
    warmup = math.ceil(optim.warmup_ratio * total_steps)
    return optim.learning_rate if step <= warmup else learning_rate(optim, step, total_steps)


def learning_rate(optim: OptimConfig, step: int, total_steps: int) -> float:
    """Returns the rate of one step.

    In warm-up step s of w trains at s / w of the peak, so the first step is not lost to a rate
    of zero. After it, with p = (step - 1 - w) / (total - w): cosine is (1 + cos(pi p)) / 2 and
    linear 1 - p, as `transformers.get_scheduler` has them.

    Args:
        optim: Peak, schedule and share of warm-up.
        step: From 1 to `total_steps`.
        total_steps: Steps of the whole run.
    """
    warmup = math.ceil(optim.warmup_ratio * total_steps)
    if step <= warmup:
        return optim.learning_rate * step / warmup
    progress = (step - 1 - warmup) / max(total_steps - warmup, 1)
    match optim.schedule:
        case "constant":
            share = 1.0
        case "linear":
            share = 1.0 - progress
        case "cosine":
            share = 0.5 * (1.0 + math.cos(math.pi * progress))
    return optim.learning_rate * share
