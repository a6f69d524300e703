"""The training loss: a sum over supervised positions, normalised by the caller."""

import torch
import torch.nn.functional as F

from ..tokens import IGNORED


def supervised_loss_sum(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Returns the summed cross-entropy of the next token at supervised positions.

    Position t predicts label t + 1; labels are not shifted by the caller. Only supervised
    positions are widened to fp32.

    Args:
        logits: (rows, length, vocabulary), any floating type.
        labels: (rows, length), `IGNORED` where nothing is trained.

    Returns:
        A scalar fp32 tensor; zero with a zero gradient when nothing is supervised.
    """
    targets = labels[:, 1:]
    kept = targets != IGNORED
    return F.cross_entropy(logits[:, :-1][kept].float(), targets[kept], reduction="sum")
