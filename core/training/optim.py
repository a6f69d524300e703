"""The optimizer and the course of its learning rate."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch

from ..config import OptimConfig
from ..errors import SftError


def build_optimizer(
    parameters: Iterable[torch.nn.Parameter], optim: OptimConfig
) -> torch.optim.Optimizer:
    """Returns the optimizer over the trainable parameters.

    adamw decays weights by learning_rate * weight_decay apart from the gradient (Loshchilov and
    Hutter 2019); adam adds weight_decay * weight to the gradient before its averages, as the
    first Adam did.

    Raises:
        SftError: Nothing is trainable, or adamw_8bit was asked for without bitsandbytes.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if not trained:
        raise SftError(
            "there is nothing to train",
            "method.freeze keeps every weight of the model as it is",
            "freeze less",
        )
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adamw": torch.optim.AdamW,
        "adam": torch.optim.Adam,
        "adamw_8bit": _adamw_8bit,
    }
    return kinds[optim.name](
        trained,
        lr=optim.learning_rate,
        betas=optim.betas,
        eps=optim.eps,
        weight_decay=optim.weight_decay,
    )


def _adamw_8bit(parameters: list[torch.nn.Parameter], **options: Any) -> torch.optim.Optimizer:
    try:
        from bitsandbytes.optim.adamw import AdamW8bit  # an extra, and a second of importing
    except ImportError as error:
        raise SftError(
            "optim.name: adamw_8bit cannot be used",
            "the package bitsandbytes is not installed",
            "pip install 'sft-tui[qlora]', or set optim.name to adamw",
        ) from error
    return AdamW8bit(parameters, **options)


def learning_rate(optim: OptimConfig, step: int, total_steps: int) -> float:
    """Returns the rate of one step.

    In warm-up step s of w trains at s / w of the peak, so the first step is not lost to a rate
    of zero; `decayed` says what follows.

    Args:
        optim: Peak, schedule and share of warm-up.
        step: From 1 to `total_steps`.
        total_steps: Steps of the whole run.
    """
    warmup = math.ceil(optim.warmup_ratio * total_steps)
    if step <= warmup:
        return optim.learning_rate * step / warmup
    falling = math.ceil(optim.decay_ratio * total_steps)
    return optim.learning_rate * decayed(optim.schedule, step, warmup, total_steps, falling)


def decayed(schedule: str, step: int, since: int, total_steps: int, falling: int) -> float:
    """Returns the share of a rate that a schedule leaves at `step`, when it began after `since`.

    With p = (step - 1 - since) / (total - since): cosine is (1 + cos(pi p)) / 2 and linear 1 - p,
    as `transformers.get_scheduler` has them. wsd (warm-up, stable, decay; Hu et al. 2024, MiniCPM)
    stays and falls linearly over the last d steps, the last of them at 1 / d.

    Args:
        schedule: As `optim.schedule`.
        step: From `since` + 1 to `total_steps`.
        since: The last step before the schedule begins.
        total_steps: Steps of the whole run.
        falling: Steps in which wsd falls.
    """
    progress = (step - 1 - since) / max(total_steps - since, 1)
    match schedule:
        case "linear":
            return 1.0 - progress
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * progress))
        case "wsd":
            return min((total_steps - step + 1) / max(falling, 1), 1.0)
        case _:
            return 1.0
