"""Rows to tensors: the only collator."""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..prompt.tokens import IGNORED, Encoded
from .ranks import Ranks


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
    length = _longest(rows)
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


class StepRows:
    """The rows of one step, or of an evaluation, by micro-batch and over all ranks."""

    def __init__(self, rows: list[list[Encoded]]) -> None:
        self.rows = rows
        self.count = len(rows)
        """Micro-batches."""
        self.supervised_tokens = sum(row.trained for some in rows for row in some)
        self.tokens = sum(len(row.input_ids) for some in rows for row in some)
        self.computed_tokens = sum(len(some) * _longest(some) for some in rows)

    @classmethod
    def of(cls, micro_batches: list[list[int]], rows: Sequence[Encoded]) -> "StepRows":
        """Returns the rows that a plan names by their numbers."""
        return cls([[rows[index] for index in some] for some in micro_batches])

    def batches(self, ranks: Ranks, pad_id: int) -> list[Batch]:
        """Returns this rank's micro-batches; all ranks get as many, the last may be idle.

        The passes of an idle one add nothing, but other ranks need this one to take part.
        """
        return [
            _idle(self.rows[0][0], pad_id) if some is None else collate(some, pad_id)
            for some in ranks.mine(self.rows)
        ]

    def log(self, step: int, ranks: Ranks) -> None:
        """Prints what this rank of several trained: a digest that is different on every rank."""
        if ranks.size == 1:
            return
        mine = [row for some in ranks.mine(self.rows) for row in some or ()]
        ids = hashlib.sha256()
        for row in mine:
            ids.update(array("q", row.input_ids).tobytes())
        print(f"step {step}: {len(mine)} rows, digest {ids.hexdigest()[:12]}", flush=True)


def _longest(rows: Sequence[Encoded]) -> int:
    return max(len(row.input_ids) for row in rows)


def _idle(row: Encoded, pad_id: int) -> Batch:
    """Returns a micro-batch of one row whose loss is zero, with a zero gradient everywhere."""
    batch = collate([row], pad_id)
    batch.labels.fill_(IGNORED)
    batch.supervised_tokens = 0
    return batch
