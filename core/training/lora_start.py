"""Where A and B of an adapter start, other than at random numbers and zero.

pissa and olora take what the adapter starts with off the base's weights: the adapted model equals
the base all the same. What is saved is plain LoRA of twice the rank over the weights as they were,
so that nothing which loads it has to know.
"""

import math
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from transformers.pytorch_utils import Conv1D

from ..config import MethodConfig
from ..errors import SftError

OWN = ("orthogonal", "pissa", "olora")
"""The values of method.init that PEFT is not asked for. Over bf16 it rounds such starts to bf16
after it took them off the weights, and it knows no Conv1D in olora and no 4 bits in orthogonal."""
_FROM_WEIGHTS = ("pissa", "olora")


def start(model: Any, method: MethodConfig) -> None:
    """Lets A and B start as `method.init` says, in fp32.

    Orthogonal: rows of A and columns of B lie in two complementary halves of a random rotation,
    so that B A is zero though neither is (PEFT's `orthogonal_init`). PiSSA (Meng et al. 2024): the
    singular vectors of the r largest singular values. OLoRA (Büyükakyüz 2024): the first r columns
    of Q and rows of R.

    Raises:
        SftError: The rank is larger than a side of a weight, or a weight is shared.
    """
    layers: dict[str, Any] = {n: m for n, m in model.named_modules() if isinstance(m, LoraLayer)}
    if method.init in _FROM_WEIGHTS:
        _refuse_shared(model, layers)
    with torch.no_grad():
        for name, layer in layers.items():
            if method.init == "orthogonal":
                b, a = _orthogonal(method.rank, layer.out_features, layer.in_features)
            else:
                b, a = _taken_off(name, layer, method)
            for part, value in ((layer.lora_A, a), (layer.lora_B, b)):
                part["default"].weight.copy_(value)
    if method.init in _FROM_WEIGHTS:
        model.started_with = _halves(model)


def _orthogonal(rank: int, outputs: int, inputs: int) -> tuple[torch.Tensor, torch.Tensor]:
    rotation, _ = torch.linalg.qr(torch.randn(rank, rank))
    a = (torch.randn(inputs, rank // 2) @ rotation[0::2]).T / 10
    b = (torch.randn(outputs, rank // 2) @ rotation[1::2]) / 10
    return b, a


def _taken_off(name: str, layer: Any, method: MethodConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns B, (out, rank), and A, (rank, in), and takes their part off the layer's weight."""
    stored: Any = layer.get_base_layer().weight
    turned = isinstance(layer.get_base_layer(), Conv1D)
    weight = (stored.T if turned else stored).float()
    rank, scale = method.rank, layer.scaling["default"]
    if rank > min(weight.shape):
        raise SftError(
            f"method.init: {method.init} cannot start at rank {rank}",
            f"{name.removeprefix('base_model.model.')} is {weight.shape[0]} × {weight.shape[1]}, "
            "and has no more directions than its smaller side",
            f"set method.rank to {min(weight.shape)} or less, or method.init to default",
        )
    if method.init == "pissa":
        u, s, vh = torch.linalg.svd(weight, full_matrices=False)
        root = (s[:rank] / scale).sqrt()
        b, a = u[:, :rank] * root, root[:, None] * vh[:rank]
    else:
        q, r = torch.linalg.qr(weight)
        b, a = q[:, :rank], r[:rank]
    rest = weight - scale * (b @ a)
    stored.copy_(rest.T if turned else rest)
    return b, a


def _refuse_shared(model: Any, layers: dict[str, Any]) -> None:
    """Refuses to take something off a weight that another module uses as well, as tied heads do."""
    embedding = model.get_input_embeddings().weight
    for name, layer in layers.items():
        if layer.get_base_layer().weight is embedding:
            leaf = name.rpartition(".")[2]
            raise SftError(
                f"method.init cannot start {leaf} from its weights",
                "they are the embedding's as well, which would change with them",
                f"add {leaf} to method.exclude_modules, or set method.init to default",
            )


def _halves(model: Any) -> dict[str, torch.Tensor]:
    """Returns A and B of all layers under the names of PEFT's files."""
    return {
        name.replace(".default.", "."): value.detach().cpu().clone()
        for name, value in model.named_parameters()
        if ".lora_A." in name or ".lora_B." in name
    }


def as_plain(model: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns an adapter's tensors as they are over the weights before anything was taken off.

    With W' = W - s B0 A0, the trained W' + s B A is W + s [B, -B0] [A; A0].
    """
    begun: dict[str, torch.Tensor] = getattr(model, "started_with", {})
    return {
        name: value if name not in begun
        else torch.cat([value, begun[name].to(value)], 0) if ".lora_A." in name
        else torch.cat([value, -begun[name].to(value)], 1)
        for name, value in tensors.items()
    }  # fmt: skip


def from_plain(model: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns what `as_plain` was given."""
    begun: dict[str, torch.Tensor] = getattr(model, "started_with", {})
    return {
        name: value if name not in begun
        else value[: value.shape[0] // 2] if ".lora_A." in name
        else value[:, : value.shape[1] // 2]
        for name, value in tensors.items()
    }  # fmt: skip


def plain_settings(model: Any, said: dict[str, Any]) -> dict[str, Any]:
    """Returns an adapter_config.json for the tensors of `as_plain`: twice the rank, one scale."""
    if not hasattr(model, "started_with"):
        return said
    more = math.sqrt(2) if said["use_rslora"] else 2
    return {**said, "r": 2 * said["r"], "lora_alpha": more * said["lora_alpha"]}
