"""The training loss: a sum over supervised positions, normalised by the caller.

The language-model head is by far the widest layer, and most positions are not trained: the head
runs at supervised positions only, for every architecture, by selecting its input.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F

from ..prompt.tokens import IGNORED

_PROBE_TOLERANCE = 1e-3


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
    kept, targets = _supervised(labels)
    return F.cross_entropy(logits[kept].float(), targets, reduction="sum")


class SupervisedLoss:
    """Computes `supervised_loss_sum` of a causal language model, the head only where needed.

    A forward pre-hook on the output embeddings selects the supervised positions. Scaling,
    soft-capping and bias stay the model's own business, so nothing has to be known of them. At
    construction a probe compares with full logits; where they differ, full logits are used.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._head: torch.nn.Module | None = model.get_output_embeddings()
        self.selects = self._head is not None and self._probe()

    def __call__(self, forward: Any, **inputs: torch.Tensor) -> torch.Tensor:
        """Returns the loss sum of one batch.

        Args:
            forward: What is called with the inputs: the model itself, or its wrapper.
            inputs: input_ids, attention_mask and labels, each (rows, length).
        """
        labels = inputs.pop("labels")
        if not self.selects:
            logits = forward(**inputs, use_cache=False).logits
            return supervised_loss_sum(logits, labels)
        kept, targets = _supervised(labels)
        with self._selecting(kept):
            logits = forward(**inputs, use_cache=False).logits
        return F.cross_entropy(logits[0].float(), targets, reduction="sum")

    @contextmanager
    def _selecting(self, kept: torch.Tensor) -> Generator[None]:
        """The head sees (1, supervised positions, hidden) instead of (rows, length, hidden)."""

        def select(_: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> Any:
            return (given[0][kept].unsqueeze(0), *given[1:])

        assert self._head is not None
        handle = self._head.register_forward_pre_hook(select)
        try:
            yield
        finally:
            handle.remove()

    def _probe(self) -> bool:
        """Returns whether selecting gives the same logits as the whole head, on two short rows."""
        device = next(self._model.parameters()).device
        ids = torch.arange(3, 15, device=device).reshape(2, 6)
        labels = ids.masked_fill(torch.arange(6, device=device) < 3, IGNORED)
        kept, _ = _supervised(labels)
        training = self._model.training
        self._model.eval()
        mask = torch.ones_like(ids)
        with torch.no_grad():
            whole = self._model(input_ids=ids, attention_mask=mask, use_cache=False).logits[kept]
            with self._selecting(kept):
                few = self._model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        self._model.train(training)
        same_shape = few.shape == (1, *whole.shape)
        return same_shape and torch.allclose(
            few[0].float(), whole.float(), atol=_PROBE_TOLERANCE, rtol=_PROBE_TOLERANCE * 10
        )


def _supervised(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns where a position predicts a trained label, (rows, length) bool, and the labels."""
    shifted = F.pad(labels[:, 1:], (0, 1), value=IGNORED)
    kept = shifted != IGNORED
    return kept, shifted[kept]
