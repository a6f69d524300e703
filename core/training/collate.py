"""Rows to tensors: the only collator."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..prompt.tokens import IGNORED, Encoded


@dataclass
class Batch:
    """One micro-batch, right-padded to its longest row; every tensor is (rows, length) int64."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor
    tokens: int
    """Non-padding tokens."""
    supervised_tokens: int
    """Labels that count in the loss: all but the ignored and each row's first."""

    @property
    def computed_tokens(self) -> int:
        """Positions that go through the model, padding included."""
        return self.input_ids.numel()

    def to(self, device: torch.device) -> "Batch":
        """Returns the batch with its tensors on `device`."""
        return Batch(
            self.input_ids.to(device, non_blocking=True),
            self.attention_mask.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.tokens,
            self.supervised_tokens,
        )


def collate(rows: Sequence[Encoded], pad_id: int) -> Batch:
    """Pads rows on the right.

    Padding is ignored by position, never by id: a pad id that equals the end token hides none.

    Example, pad id 0, rows [5, 6, 7] (the last two trained) and [5, 8] (the last trained):
        input_ids       [[5, 6, 7], [5, 8, 0]]
        attention_mask  [[1, 1, 1], [1, 1, 0]]
        labels          [[-100, 6, 7], [-100, 8, -100]]
    """
    length = max(len(row.input_ids) for row in rows)
    input_ids = torch.full((len(rows), length), pad_id, dtype=torch.long)
    attention_mask = torch.zeros((len(rows), length), dtype=torch.long)
    labels = torch.full((len(rows), length), IGNORED, dtype=torch.long)
    for index, row in enumerate(rows):
        size = len(row.input_ids)
        input_ids[index, :size] = torch.tensor(row.input_ids)
        attention_mask[index, :size] = 1
        labels[index, :size] = torch.tensor(row.labels)
    return Batch(
        input_ids,
        attention_mask,
        labels,
        sum(len(row.input_ids) for row in rows),
        sum(row.trained for row in rows),
    )


def idle(row: Encoded, pad_id: int) -> Batch:
    """Returns a micro-batch of one row whose loss is zero, with a zero gradient everywhere."""
    batch = collate([row], pad_id)
    batch.labels.fill_(IGNORED)
    batch.supervised_tokens = 0
    return batch
