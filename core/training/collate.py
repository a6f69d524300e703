"""Rows to tensors: the only collator."""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..data import packing
from ..prompt.tokens import IGNORED, Encoded
from .attention import segments_mask
from .loss import Predicted
from .ranks import Ranks


@dataclass(frozen=True)
class Layout:
    """How the rows of a micro-batch are laid out."""

    pad_id: int
    pack: bool = False
    """In one sequence behind one another, not below one another with padding."""
    share: bool = False
    """What neighbours have in common from their beginning stands there once."""

    def computed_tokens(self, rows: Sequence[Encoded]) -> int:
        """Returns how many positions go through the model."""
        how = packing.Packing(self.pack, self.share)
        return how.computed([row.input_ids for row in rows])


@dataclass
class Batch:
    """One micro-batch: its rows below one another, padded on the right, or packed into one."""

    input_ids: torch.Tensor
    """(rows, length) int64, packed (1, length)."""
    attention_mask: torch.Tensor
    """(rows, length) int64, 0 is padding; packed as `attention.segments_mask` has it."""
    position_ids: torch.Tensor | None
    """Packed (1, length) int64: each row's, from 0; None where they are counted off."""
    predicted: Predicted
    tokens: int
    """Of its rows, without padding."""
    supervised_tokens: int
    """Labels that count in the loss: all but the ignored and each row's first."""

    @property
    def inputs(self) -> dict[str, Any]:
        """What the model is called with."""
        given = {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        return given if self.position_ids is None else {**given, "position_ids": self.position_ids}

    def to(self, device: torch.device) -> "Batch":
        """Returns the batch with its tensors on `device`."""
        places = self.position_ids
        return Batch(
            self.input_ids.to(device, non_blocking=True),
            # Ranges are read as numbers.
            self.attention_mask.to(device) if places is None else self.attention_mask,
            None if places is None else places.to(device, non_blocking=True),
            self.predicted.to(device),
            self.tokens,
            self.supervised_tokens,
        )


def collate(rows: Sequence[Encoded], layout: Layout) -> Batch:
    """Returns a micro-batch of rows."""
    return _packed(rows, layout.share) if layout.pack else _padded(rows, layout.pad_id)


def _padded(rows: Sequence[Encoded], pad_id: int) -> Batch:
    """Pads rows on the right.

    Padding is ignored by position, never by id: a pad id that equals the end token hides none.

    Example, pad id 0, rows [5, 6, 7] (the last two trained) and [5, 8] (the last trained):
        input_ids       [[5, 6, 7], [5, 8, 0]]
        attention_mask  [[1, 1, 1], [1, 1, 0]]
        positions       [0, 1, 3], which predict [6, 7, 8]
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
        None,
        Predicted.of(labels),
        sum(len(row.input_ids) for row in rows),
        sum(row.trained for row in rows),
    )


def _packed(rows: Sequence[Encoded], share: bool) -> Batch:
    """Puts rows behind one another, a common beginning once, before its branches.

    Example with `share`, rows [5, 6, 7] (the last two trained) and [5, 6, 8] (the last trained):
        input_ids     [[5, 6, 7, 8]]
        position_ids  [[0, 1, 2, 2]]
        segments      (0, 2, 0, 0), (2, 1, 0, 2), (3, 1, 0, 2)
        positions     [0, 1, 1], which predict [6, 7, 8]
    A position that several rows train to one token is one prediction that weighs as many.
    """
    ids: list[int] = []
    places: list[int] = []
    segments: list[tuple[int, int, int, int]] = []
    weights: dict[tuple[int, int], int] = {}
    for family in packing.families([row.input_ids for row in rows], share=share):
        begin, shared = len(ids), family.shared
        members = rows[family.first : family.first + family.rows]
        if shared:
            segments.append((begin, shared, 0, 0))
            ids.extend(members[0].input_ids[:shared])
            places.extend(range(shared))
        for row in members:
            start, length = len(ids), len(row.input_ids) - shared
            segments.append((start, length, begin, shared))
            ids.extend(row.input_ids[shared:])
            places.extend(range(shared, shared + length))
            for label in (n for first, end in row.spans for n in range(max(first, 1), end)):
                before = label - 1
                at = begin + before if before < shared else start + before - shared
                key = (at, row.input_ids[label])
                weights[key] = weights.get(key, 0) + 1
    predictions = sorted(weights)
    counts = [weights[key] for key in predictions]
    return Batch(
        torch.tensor([ids], dtype=torch.long),
        segments_mask(segments),
        torch.tensor([places], dtype=torch.long),
        Predicted(
            torch.tensor([at for at, _ in predictions], dtype=torch.long),
            torch.tensor([token for _, token in predictions], dtype=torch.long),
            None if all(n == 1 for n in counts) else torch.tensor(counts, dtype=torch.float32),
        ),
        sum(len(row.input_ids) for row in rows),
        sum(row.trained for row in rows),
    )


class StepRows:
    """The rows of one step, or of an evaluation, by micro-batch and over all ranks."""

    def __init__(self, rows: list[list[Encoded]], layout: Layout) -> None:
        self.rows = rows
        self._layout = layout
        self.count = len(rows)
        """Micro-batches."""
        self.supervised_tokens = sum(row.trained for some in rows for row in some)
        self.tokens = sum(len(row.input_ids) for some in rows for row in some)
        self.computed_tokens = sum(map(layout.computed_tokens, rows))

    @classmethod
    def of(
        cls, micro_batches: list[list[int]], rows: Sequence[Encoded], layout: Layout
    ) -> "StepRows":
        """Returns the rows that a plan names by their numbers."""
        return cls([[rows[index] for index in some] for some in micro_batches], layout)

    def batches(self, ranks: Ranks) -> list[Batch]:
        """Returns this rank's micro-batches; all ranks get as many, the last may be idle.

        The passes of an idle one add nothing, but other ranks need this one to take part.
        """
        return [
            _idle(self.rows[0][0], self._layout) if some is None else collate(some, self._layout)
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
        # In one write, as lines of other ranks come between.
        line = f"step {step}: {len(mine)} rows, digest {ids.hexdigest()[:12]}\n"
        print(line, end="", flush=True)


def _longest(rows: Sequence[Encoded]) -> int:
    return max(len(row.input_ids) for row in rows)


def _idle(row: Encoded, layout: Layout) -> Batch:
    """Returns a micro-batch of one row whose loss is zero, with a zero gradient everywhere."""
    batch = collate([row], layout)
    nothing = torch.zeros(0, dtype=torch.long)
    batch.predicted = Predicted(nothing, nothing)
    batch.supervised_tokens = 0
    return batch
