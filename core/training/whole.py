"""Weights, moments and random states as whole tensors, whatever ranks share them, and back.

What gives whole tensors is called by every rank; each gets all of them, one after the other.
"""

from collections.abc import Iterable
from typing import Any

import torch

from .ranks import Ranks
from .sharding import share_like, whole


def trained_weights(model: Any) -> dict[str, torch.Tensor]:
    """Returns the weights that are trained, by name, on the CPU."""
    return {
        name: whole(parameter)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def all_weights(model: Any) -> dict[str, torch.Tensor]:
    """Returns every weight once, and the buffers that belong to a saved model."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    buffers = {name: t for name, t in model.state_dict().items() if name not in parameters}
    weights = {name: whole(parameter) for name, parameter in model.named_parameters()}
    return {**weights, **buffers}


def optimizer_tensors(
    model: Any, optimizer: torch.optim.Optimizer, ranks: Ranks
) -> dict[str, torch.Tensor]:
    """Returns the optimizer's state by kind and weight, and the random state of every rank."""
    tensors: dict[str, torch.Tensor] = {}
    for rank, state in enumerate(ranks.gather(torch.get_rng_state())):
        tensors[_random("torch", rank)] = state
    if torch.cuda.is_available():
        for rank, state in enumerate(ranks.gather(torch.cuda.get_rng_state())):
            tensors[_random("cuda", rank)] = state
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            # bitsandbytes counts steps in a plain number.
            kept = whole(torch.as_tensor(value))
            # bitsandbytes' tables of 8-bit values are one for all weights; a file holds each once.
            tensors[f"{key}.{name}"] = kept.clone() if key.startswith("qmap") else kept
    return tensors


def _random(kind: str, rank: int) -> str:
    return f"random.{kind}" if rank == 0 else f"random.{kind}.{rank}"


def restore_random(tensors: dict[str, torch.Tensor], ranks: Ranks) -> None:
    """Puts this rank's random state in place; one that was not there keeps that of its start."""
    on_cpu, on_cuda = (tensors.get(_random(kind, ranks.rank)) for kind in ("torch", "cuda"))
    if on_cpu is not None:
        torch.set_rng_state(on_cpu)
    if on_cuda is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(on_cuda)


def stateful(tensors: Iterable[str]) -> int:
    """Returns how many weights have a state among the names that `optimizer_tensors` gives."""
    return len({key.partition(".")[2] for key in tensors if not key.startswith("random.")})


def restore_optimizer(
    model: Any, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]
) -> None:
    """Gives every trained weight the state it had, of whatever kind its optimizer keeps.

    Raises:
        KeyError: The checkpoint is of another optimizer.
    """
    states: dict[str, dict[str, torch.Tensor]] = {}
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    for key, tensor in tensors.items():
        kind, _, name = key.partition(".")
        if name in names:
            states.setdefault(name, {})[kind] = tensor
    for name, parameter in model.named_parameters():
        if name in states:
            optimizer.state[parameter] = {
                kind: _step_count(optimizer, value)
                if kind == "step"
                else share_like(parameter, value)
                for kind, value in states[name].items()
            }


def _step_count(optimizer: torch.optim.Optimizer, count: torch.Tensor) -> torch.Tensor | int:
    """Returns the step count as the optimizer keeps it: on the CPU, or as a plain number."""
    return count if isinstance(optimizer, torch.optim.Adam) else int(count)
