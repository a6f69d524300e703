"""How much of its devices' arithmetic a run uses (MFU)."""

from typing import Any

import torch

from .. import arithmetic
from .method import count_parameters


def peak_flops(device: torch.device, precision: str) -> float | None:
    """Returns the operations a second of a device by its data sheet; None where it has none."""
    if device.type != "cuda":
        return None
    return arithmetic.peak_flops(torch.cuda.get_device_name(device), precision)


class Utilisation:
    """The arithmetic of a model's steps as a share of what its devices can do."""

    def __init__(self, model: Any, device: torch.device, precision: str, devices: int) -> None:
        trained, total = count_parameters(model)
        self._flops = arithmetic.flops_per_token(trained, total)
        peak = peak_flops(device, precision)
        self._peak = None if peak is None else peak * devices

    def of(self, tokens: int, computed: int, seconds: float) -> float | None:
        """Returns the share of a step; None where the peak is not known.

        Args:
            tokens: Of its rows, without padding.
            computed: With padding, and without what rows share. The fewer of both were needed.
            seconds: That it took.
        """
        if self._peak is None:
            return None
        return self._flops * min(tokens, computed) / seconds / self._peak
