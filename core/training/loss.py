"""The training loss: a sum over supervised positions, normalised by the caller.

The language-model head is by far the widest layer, and most positions are not trained: the head
runs at supervised positions only, for every architecture, by selecting its input. Where these are
many, as when whole texts are trained, their logits are made and dropped piece by piece.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from transformers.modeling_outputs import BaseModelOutputWithPast

from ..prompt.tokens import IGNORED
from .cross_entropy import summed_cross_entropy

_PROBE_TOLERANCE = 1e-3
_FEWEST = 4
"""The head gets as many positions at least: for fewer, the BLAS library of a CPU adds up their
gradient over the vocabulary one by one, which costs it two digits."""


class _Decoded(BaseModelOutputWithPast):
    """What a decoder returns; a model that asks for more, such as routes, gets None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


@dataclass
class Predicted:
    """The tokens that a batch trains: which position predicts which; all tensors are (count,)."""

    positions: torch.Tensor
    """int64, of the batch's positions counted row by row."""
    targets: torch.Tensor
    """int64 ids."""
    weights: torch.Tensor | None = None
    """fp32, how many rows a prediction counts for; None where it is one for all."""

    @classmethod
    def of(cls, labels: torch.Tensor) -> "Predicted":
        """Returns what (rows, length) labels train: position t predicts label t + 1."""
        shifted = F.pad(labels[:, 1:], (0, 1), value=IGNORED).flatten()
        positions = (shifted != IGNORED).nonzero().flatten()
        return cls(positions, shifted[positions])

    def to(self, device: torch.device) -> "Predicted":
        """Returns the same on a device."""
        weights = None if self.weights is None else self.weights.to(device, non_blocking=True)
        return Predicted(
            self.positions.to(device, non_blocking=True),
            self.targets.to(device, non_blocking=True),
            weights,
        )

    def piece(self, start: int, end: int) -> "Predicted":
        """Returns some of the predictions."""
        weights = None if self.weights is None else self.weights[start:end]
        return Predicted(self.positions[start:end], self.targets[start:end], weights)

    def loss_sum(self, logits: torch.Tensor) -> torch.Tensor:
        """Returns the summed cross-entropy, a scalar in fp32; zero where nothing is trained.

        Args:
            logits: (count, vocabulary), of the predictions in their order.
        """
        return summed_cross_entropy(logits, self.targets, self.weights)


class SupervisedLoss:
    """Computes the loss sum of a causal language model, the head only where needed.

    A forward pre-hook on the output embeddings selects the supervised positions. Scaling,
    soft-capping and bias stay the model's own business, so nothing has to be known of them. At
    construction a probe compares with full logits; where they differ, full logits are used.
    """

    def __init__(self, model: Any, chunk: int | None = None) -> None:
        """Probes the model.

        Args:
            model: A causal language model, or a PEFT model around one.
            chunk: Predictions whose logits are made at once; None makes all.
        """
        self._model = model
        self._head: torch.nn.Module | None = model.get_output_embeddings()
        self._chunk = chunk
        self.selects = self._head is not None and self._probe()
        self.chunks = chunk is not None and self.selects and self._probe_tail()

    @property
    def choice(self) -> str:
        """Which logits are made, in words."""
        if not self.selects:
            return "all: this model gives others where some are left out"
        pieces = f", {self._chunk:,} at once" if self.chunks else ""
        return f"of trained tokens alone{pieces}"

    def __call__(self, forward: Any, predicted: Predicted, **inputs: Any) -> torch.Tensor:
        """Returns the loss sum of one batch.

        Args:
            forward: What is called with the inputs: the model itself, or its wrapper.
            predicted: What the batch trains.
            inputs: Of the model.
        """
        if not self.selects:
            logits = forward(**inputs, use_cache=False).logits
            return predicted.loss_sum(logits.flatten(0, 1)[predicted.positions])
        if self.chunks and len(predicted.targets) > (self._chunk or 0):
            hidden = self._hidden(forward, predicted.positions, inputs)
            return self._piece_by_piece(hidden, predicted)
        with self._selecting(predicted.positions):
            logits = forward(**inputs, use_cache=False).logits
        return predicted.loss_sum(logits[0, : len(predicted.targets)])

    @contextmanager
    def _selecting(
        self, positions: torch.Tensor, seen: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> Generator[None]:
        """The head sees (1, predictions, hidden) instead of (rows, length, hidden).

        `seen` is given that, and what it returns is what the head gets; without it, the head gets
        `_FEWEST` positions at least.
        """

        def select(_: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> Any:
            hidden = given[0].flatten(0, 1)[positions].unsqueeze(0)
            return (_enough(hidden) if seen is None else seen(hidden), *given[1:])

        assert self._head is not None
        handle = self._head.register_forward_pre_hook(select)
        try:
            yield
        finally:
            handle.remove()

    def _hidden(self, forward: Any, positions: torch.Tensor, inputs: Any) -> torch.Tensor:
        """Returns the head's input at some positions, (1, predictions, hidden)."""
        kept: list[torch.Tensor] = []

        def keep(hidden: torch.Tensor) -> torch.Tensor:
            kept.append(hidden)
            return hidden[:, :1]  # what the head makes of it is not used

        with self._selecting(positions, keep):
            forward(**inputs, use_cache=False)
        return kept[0]

    def _piece_by_piece(self, hidden: torch.Tensor, predicted: Predicted) -> torch.Tensor:
        assert self._chunk is not None and self._head is not None
        count = len(predicted.targets)
        pieces = [
            predicted.piece(start, min(start + self._chunk, count))
            for start in range(0, count, self._chunk)
        ]
        if not torch.is_grad_enabled():
            parts = hidden.split(self._chunk, dim=1)
            sums = [p.loss_sum(self._tail(h)[0]) for p, h in zip(pieces, parts, strict=True)]
            return torch.stack(sums).sum()
        trained = [p for p in self._head.parameters() if p.requires_grad]
        return _PieceByPiece.apply(hidden, self._tail, pieces, *trained)

    def _tail(self, hidden: torch.Tensor) -> torch.Tensor:
        """Returns the logits of (1, predictions, hidden): the model without its decoder."""
        causal = (
            self._model.get_base_model() if hasattr(self._model, "peft_config") else self._model
        )
        decoder = causal.base_model
        plain = decoder.forward
        given = _enough(hidden)
        decoder.forward = lambda *_, **__: _Decoded(last_hidden_state=given)
        try:
            ids = torch.zeros(given.shape[:2], dtype=torch.long, device=given.device)
            logits = causal(input_ids=ids, use_cache=False, return_dict=True).logits
            return logits[:, : hidden.shape[1]]
        finally:
            decoder.forward = plain

    def _probe(self) -> bool:
        """Returns whether selecting gives the same logits as the whole head, on two short rows."""
        whole, ids, positions = self._probed()
        with self._evaluating(), self._selecting(positions):
            few = self._model(input_ids=ids, use_cache=False).logits
        return few.shape == (1, *whole.shape) and _alike(few[0], whole)

    def _probe_tail(self) -> bool:
        """Returns whether the model without its decoder gives the same logits."""
        causal = (
            self._model.get_base_model() if hasattr(self._model, "peft_config") else self._model
        )
        if causal.base_model is causal:
            return False
        whole, ids, positions = self._probed()
        with self._evaluating():
            hidden = self._hidden(self._model, positions, {"input_ids": ids})
            few = self._tail(hidden)
        return few.shape == (1, *whole.shape) and _alike(few[0], whole)

    def _probed(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns logits of some positions of two short rows, the rows and the positions."""
        device = next(self._model.parameters()).device
        ids = torch.arange(3, 15, device=device).reshape(2, 6)
        positions = torch.tensor([2, 3, 4, 8, 9, 10], device=device)
        with self._evaluating():
            logits = self._model(input_ids=ids, use_cache=False).logits
        return logits.flatten(0, 1)[positions], ids, positions

    @contextmanager
    def _evaluating(self) -> Generator[None]:
        training = self._model.training
        self._model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self._model.train(training)


class _PieceByPiece(torch.autograd.Function):
    """A loss sum whose gradients are taken with each piece, so that its logits can go at once."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        tail: Callable[[torch.Tensor], torch.Tensor],
        pieces: list[Predicted],
        *trained: torch.Tensor,
    ) -> torch.Tensor:
        # Made first: a piece's own would lie between what the next one needs and what is free.
        of_hidden = torch.empty_like(hidden)
        of_trained = [torch.zeros_like(weight) for weight in trained]
        total = torch.zeros((), device=hidden.device)
        start = 0
        for piece in pieces:
            end = start + len(piece.targets)
            with torch.enable_grad():
                part = hidden[:, start:end].detach().requires_grad_()
                loss = piece.loss_sum(tail(part)[0])
                grads = torch.autograd.grad(loss, (part, *trained))
            of_hidden[:, start:end] = grads[0]
            for sum_, grad in zip(of_trained, grads[1:], strict=True):
                sum_ += grad
            total += loss.detach()
            start = end
        ctx.save_for_backward(of_hidden, *of_trained)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        of_hidden, *of_trained = (grads[0] * saved for saved in ctx.saved_tensors)
        return (of_hidden.to(ctx.saved_tensors[0].dtype), None, None, *of_trained)


def _enough(hidden: torch.Tensor) -> torch.Tensor:
    """Returns (1, predictions, hidden) with zeros after them where they are too few."""
    missing = _FEWEST - hidden.shape[1]
    return F.pad(hidden, (0, 0, 0, missing)) if missing > 0 else hidden


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(
        one.float(), other.float(), atol=_PROBE_TOLERANCE, rtol=_PROBE_TOLERANCE * 10
    )
