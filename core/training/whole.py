"""Weights, moments and random states as whole tensors, whatever ranks share them, and back.

What gives whole tensors is called by every rank; each gets all of them, one after the other.
"""

from collections.abc import Container, Iterable
from typing import Any

import torch

from .ranks import Ranks
from .sharding import share_like, whole

_RANDOM = "random"
_KINDS = {"step", "exp_avg", "exp_avg_sq"}
"""What Adam keeps of each weight, as torch names it."""
_KINDS_8_BIT = {"step", "state1", "state2"}
"""As bitsandbytes does; large weights have more, for their scales."""


class Incomplete(Exception):
    """What was saved is not all there; its text says what is missing."""


def trained(model: Any) -> dict[str, torch.nn.Parameter]:
    """Returns the parameters that are trained, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def trained_weights(model: Any) -> dict[str, torch.Tensor]:
    """Returns the weights that are trained, by name, on the CPU."""
    return {name: whole(parameter) for name, parameter in trained(model).items()}


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
    return f"{_RANDOM}.{kind}" if rank == 0 else f"{_RANDOM}.{kind}.{rank}"


def restore_random(tensors: dict[str, torch.Tensor], ranks: Ranks) -> None:
    """Puts this rank's random state in place; one that was not there keeps that of its start."""
    on_cpu, on_cuda = (tensors.get(_random(kind, ranks.rank)) for kind in ("torch", "cuda"))
    if on_cpu is not None:
        torch.set_rng_state(on_cpu)
    if on_cuda is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(on_cuda)


def without_state(model: Any, tensors: Iterable[str]) -> list[str]:
    """Returns which trained weights have no state among the names that `optimizer_tensors` gives.

    Such are those that no gradient has reached yet.
    """
    have = {key.partition(".")[2] for key in tensors}
    return [name for name in trained(model) if name not in have]


def restore_optimizer(
    model: Any,
    optimizer: torch.optim.Optimizer,
    tensors: dict[str, torch.Tensor],
    without: Container[str] = (),
) -> None:
    """Gives every trained weight the state it had, of whatever kind its optimizer keeps.

    Args:
        model: Its trained weights are those that the states are of.
        optimizer: Over these weights.
        tensors: As `optimizer_tensors` gave them; those of random states are passed over.
        without: The weights that had no state.

    Raises:
        RuntimeError: The states are another optimizer's, or of weights that are not trained.
        Incomplete: The state of a weight is not there, or a part of it.
    """
    states: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        kind, _, name = key.partition(".")
        if kind != _RANDOM:
            states.setdefault(name, {})[kind] = tensor
    parameters = trained(model)
    for name in states.keys() - parameters.keys():
        raise RuntimeError(f"{name} was trained, and is not any more")
    needed = _KINDS if isinstance(optimizer, torch.optim.Adam) else _KINDS_8_BIT
    found = {kind for state in states.values() for kind in state}
    if states and not needed <= found:
        raise RuntimeError(f"its moments are those of another optim.name ({', '.join(found)})")
    for name, parameter in parameters.items():
        state = states.get(name, {})
        if name not in without and not needed <= state.keys():
            raise Incomplete(f"it lacks the moments of {name}")
        if state:
            optimizer.state[parameter] = {
                kind: _step_count(optimizer, value)
                if kind == "step"
                else share_like(parameter, value)
                for kind, value in state.items()
            }


def _step_count(optimizer: torch.optim.Optimizer, count: torch.Tensor) -> torch.Tensor | int:
    """Returns the step count as the optimizer keeps it: on the CPU, or as a plain number."""
    return count if isinstance(optimizer, torch.optim.Adam) else int(count)
