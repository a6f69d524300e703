"""Decides what is trained: an adapter beside a frozen base, or the base's own weights."""

from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch.nn.modules.conv import _ConvNd
from transformers.pytorch_utils import Conv1D

from ..config import MethodConfig
from ..errors import SftError
from ..lora_targets import chosen_strictly
from ..text import one_line
from . import lora_start
from .report import Report


def attach(base: Any, method: MethodConfig, report: Report) -> Any:
    """Returns the model to train: with an adapter, or itself, what is frozen marked as such.

    Raises:
        SftError: A pattern matches nothing; the message lists near misses.
    """
    if method.kind == "full":
        return unfreeze(base, method.freeze)
    missed = unreached_experts(base, method)
    model = attach_lora(base, method)
    if missed:
        report.warn(
            "experts_not_trained",
            f"the experts of this model are fused into parameters, such as {missed[0]}, that "
            "method.target_modules does not reach",
            f"to train them as well, set method.target_parameters to [{', '.join(_ends(missed))}]",
        )
    return model


def unfreeze(base: Any, frozen: list[str]) -> Any:
    """Makes every weight trainable except those within modules that the patterns name.

    Raises:
        SftError: A pattern matches no module, or nothing is left to train.
    """
    names = [name for name, _ in base.named_modules() if name]
    base.requires_grad_(True)
    if frozen:
        for name in chosen_strictly(names, frozen, [], key="method.freeze"):
            base.get_submodule(name).requires_grad_(False)
    return base


def attach_lora(base: Any, method: MethodConfig) -> Any:
    """Freezes the base and attaches fp32 LoRA adapters to the modules that the patterns name.

    At the start the adapted model equals the base: B A is zero, or was taken off the weights
    (pissa, olora). The scale is alpha / rank, with rsLoRA alpha / sqrt(rank).

    Raises:
        SftError: A pattern matches no module, or PEFT cannot adapt what it matches.
    """
    names = match_modules(base, method.target_modules, method.exclude_modules)
    modules = dict(base.named_modules())
    adapter = LoraConfig(
        r=method.rank,
        lora_alpha=method.alpha,  # pyright: ignore[reportArgumentType] (a float works)
        lora_dropout=method.dropout,
        target_modules=names,
        target_parameters=_parameters(base, method.target_parameters) or None,
        use_rslora=method.rslora,
        use_dora=method.dora,
        init_lora_weights="gaussian" if method.init == "gaussian" else True,
        # GPT-2's Conv1D keeps its weight transposed.
        fan_in_fan_out=all(isinstance(modules[name], Conv1D) for name in names),
        bias="none",
        task_type="CAUSAL_LM",
    )
    try:
        model = get_peft_model(base, adapter, autocast_adapter_dtype=True)
    except (ValueError, NotImplementedError) as error:  # such as out_proj of Mamba
        raise SftError(
            "PEFT cannot make this adapter",
            one_line(str(error), 300),
            "leave what it names out of method.target_modules and method.target_parameters, or add "
            "it to method.exclude_modules",
        ) from error
    if method.init in lora_start.OWN:
        lora_start.start(model, method)
    return model


def match_modules(model: torch.nn.Module, targets: list[str], excluded: list[str]) -> list[str]:
    """Returns the full names of the linear modules that the patterns match.

    `lora_targets` has the rule.

    Raises:
        SftError: A pattern matches nothing; the message lists near misses.
    """
    modules = {name: module for name, module in model.named_modules() if name}
    linear = [n for n, module in modules.items() if isinstance(module, torch.nn.Linear | Conv1D)]
    return chosen_strictly(linear, targets, excluded, modules=modules)


def _parameters(model: torch.nn.Module, patterns: list[str]) -> list[str]:
    if not patterns:
        return []
    return chosen_strictly(_fused(model), patterns, [], key="method.target_parameters")


def _fused(model: torch.nn.Module) -> list[str]:
    """Returns the names of parameters that hold one matrix for each expert."""
    return [
        f"{name}.{leaf}"
        for name, module in model.named_modules()
        if not isinstance(module, _ConvNd)  # kernels of Mamba and its kin have three sides as well
        for leaf, parameter in module.named_parameters(recurse=False)
        if parameter.dim() == 3
    ]


def unreached_experts(base: torch.nn.Module, method: MethodConfig) -> list[str]:
    """Returns the fused parameters of a base that no pattern of target_parameters names."""
    reached = _parameters(base, method.target_parameters)
    return [name for name in _fused(base) if name not in reached]


def _ends(names: list[str]) -> list[str]:
    """Returns the last parts of names, each once."""
    return list(dict.fromkeys(name.rpartition(".")[2] for name in names))


def count_parameters(model: Any) -> tuple[int, int]:
    """Returns how many parameters are trained, and how many there are; a 4-bit weight is one."""
    trained = total = 0
    for parameter in model.parameters():
        # bitsandbytes packs two weights into a byte.
        packed = getattr(parameter, "quant_state", None)
        count = packed.shape.numel() if packed is not None else parameter.numel()
        total += count
        trained += count if parameter.requires_grad else 0
    return trained, total
