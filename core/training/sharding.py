"""The model over several ranks: each has all of it (ddp), or a share of every layer (fsdp).

Both take the mean of the ranks' gradients; the loop, whose loss is divided by the trained tokens
of all ranks already, multiplies by their number.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from peft import PeftModel
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from ..config import RunConfig
from .model import DTYPES, decoder_layers
from .ranks import Ranks


def lay_out(model: Any, config: RunConfig, ranks: Ranks, device: torch.device) -> None:
    """Puts a model's weights on the device, or this rank's share of them, in place.

    fsdp divides every decoder layer, and the rest of the model together, as FSDP2 does. Where all
    weights are trained, they are gathered and computed with in the run's precision, and gradients
    are added up in fp32.
    """
    if config.launch.strategy == "ddp" or ranks.size == 1:
        model.to(device)
        return
    policy = MixedPrecisionPolicy()
    if config.method.kind == "full" and config.train.precision != "fp32":
        policy = MixedPrecisionPolicy(DTYPES[config.train.precision], torch.float32)
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    mesh = init_device_mesh(device.type, (ranks.size,))
    for module in (*decoder_layers(base), base):
        # Also the rest is put away after its forward pass: parameters are shares wherever they
        # are looked at.
        sharded = fully_shard(module, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
        sharded.set_force_sum_reduction_for_comms(True)  # gloo has no mean


def exchanged(model: Any, ranks: Ranks) -> Any:
    """Returns what is called in place of the model, so that ranks exchange gradients."""
    if ranks.size == 1 or is_sharded(model):
        return model
    return DistributedDataParallel(
        model,
        broadcast_buffers=False,  # none changes while training
        gradient_as_bucket_view=True,
        # A weight that no micro-batch reached stays as it is, as on one device.
        find_unused_parameters=True,
    )


def is_sharded(model: Any) -> bool:
    """Returns whether a rank has only its share of the model."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    return isinstance(base, FSDPModule)


def exchanging(forward: Any, *, last: bool) -> AbstractContextManager[object]:
    """Returns the context of a micro-batch's passes: gradients are exchanged in the last one.

    Shares are exchanged after each micro-batch: whole gradients would need the memory that
    sharding saves.
    """
    if isinstance(forward, DistributedDataParallel) and not last:
        return forward.no_sync()
    return nullcontext()


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Returns all of a tensor of which each rank has a share, on the CPU; every rank calls it."""
    tensor = tensor.detach()
    if isinstance(tensor, DTensor):
        tensor = tensor.full_tensor()
    return tensor.cpu().contiguous()


def share_like(parameter: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """Returns this rank's share of a whole tensor, divided as a parameter of its shape is."""
    tensor = tensor.to(parameter.device)
    if not isinstance(parameter, DTensor) or tensor.shape != parameter.shape:
        return tensor
    return distribute_tensor(
        tensor, parameter.device_mesh, parameter.placements, src_data_rank=None
    )
