"""The arithmetic of a step: autocast where fp32 weights are trained, a scaled loss for fp16."""

from contextlib import AbstractContextManager, nullcontext

import torch

from ..config import RunConfig
from .model import DTYPES


def base_precision(config: RunConfig) -> str:
    """Returns the precision in which the base is loaded: weights that are trained are in fp32.

    Moments and updates smaller than a bf16 step would be lost otherwise.
    """
    return "fp32" if config.method.kind == "full" else config.train.precision


class Precision:
    """Computes losses in the run's precision and takes optimizer steps that suit it.

    A frozen base is in that precision itself and needs no autocast; adapters beside it are fp32.
    In fp16 small gradients vanish, so the loss is multiplied by a scale that grows until they
    overflow and is halved then; such a step is skipped (Micikevicius et al. 2018).
    """

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self._device = device.type
        wanted = config.train.precision
        self._autocast = DTYPES[wanted] if config.method.kind == "full" else None
        if wanted == "fp32":
            self._autocast = None
        self._scaler = torch.amp.GradScaler(self._device, enabled=wanted == "fp16")

    def arithmetic(self) -> AbstractContextManager[object]:
        """Returns the context in which the model is run."""
        if self._autocast is None:
            return nullcontext()
        return torch.autocast(self._device, dtype=self._autocast)

    def backward(self, loss: torch.Tensor) -> None:
        """Adds the gradients of a loss, scaled where fp16 needs it."""
        self._scaler.scale(loss).backward()

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Brings gradients back to their size, before their norm is taken."""
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer, *, finite: bool) -> None:
        """Takes the optimizer's step if the gradient is finite, and adapts the scale."""
        if self._scaler.is_enabled():
            self._scaler.step(optimizer)
            self._scaler.update()
        elif finite:
            optimizer.step()

    @property
    def searching(self) -> bool:
        """Whether an overflow says no more than that the scale of the loss is still too large."""
        return self._scaler.is_enabled() and self._scaler.get_scale() > 1.0

    def state(self) -> dict[str, int | float]:
        """Returns the scale and its history, to be kept in checkpoints; empty without fp16."""
        return dict(self._scaler.state_dict())

    def restore(self, state: dict[str, int | float]) -> None:
        """Takes what `state` gave."""
        if state and self._scaler.is_enabled():
            self._scaler.load_state_dict(state)
